"""Delivery reports (RFC 3464) for submitters who asked for them by RFC 3461.

All is seven bits, whatever the addresses are (RFC 6533 section 3), and the same report has the
same octets each time, so that a repeat can be told. The envelope sender of a report is empty.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum

from mailroom.domain.address import Address
from mailroom.domain.header_encoding import mailbox_field, text_field
from mailroom.domain.reply import SmtpReply

MAX_DIAGNOSTIC = 900  # characters
MAX_RETURNED = 65_536  # octets of the original's header
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_LINE = 76


class Action(StrEnum):
    """What a report says has happened (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Original:
    """The message that is reported on. `envelope_id` is the ENVID as written.

    `header` is its header section, b"" to return none. Times are Unix seconds.
    """

    id: str
    accepted_at: float
    subject: str = ""
    envelope_id: str = ""
    header: bytes = b""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of it with one recipient. `requested` is the ORCPT as written, "" for none.

    `reply` is the last one, from `mx`; `at` is when it came, `retry_until` the end of all tries
    of a delayed one (Unix seconds).
    """

    action: Action
    recipient: str
    reply: SmtpReply
    at: float
    mx: str = ""
    requested: str = ""
    expired: bool = False
    retry_until: float | None = None

    @property
    def status(self) -> str:
        """The status code (RFC 3463) that fits the action."""
        if self.expired:
            return "4.4.7"
        first = "5" if self.action is Action.FAILED else "4"
        if self.reply.enhanced is None:
            return f"{first}.0.0"
        return f"{first}.{self.reply.enhanced[1]}.{self.reply.enhanced[2]}"


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who reports: the name of the host, and the address that the report comes from."""

    host: str
    address: Address


def report_mail(fate: Fate, original: Original, to: Address, reporter: Reporter) -> bytes:
    """Return the report as a message for `to`. Its lines end in CRLF.

    Raises UnfitHeaderError for an address that is not ASCII.
    """
    seed = f"{original.id} {fate.recipient} {fate.action} {fate.at:.3f}"
    mark = hashlib.sha256(seed.encode()).hexdigest()[:24]
    parts = (
        ("text/plain; charset=us-ascii", _told(fate, original, reporter)),
        ("message/delivery-status", _status(fate, original, reporter)),
        *((("text/rfc822-headers", _returned(original.header)),) if original.header else ()),
    )
    body = b"".join(
        b"--=_%b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (mark.encode(), kind.encode(), part)
        for kind, part in parts
    )
    return (
        b"".join(_header(fate, to, reporter, mark))
        + b"\r\n"
        + body
        + b"--=_%b--\r\n" % mark.encode()
    )


def _header(fate: Fate, to: Address, reporter: Reporter, mark: str) -> Iterator[bytes]:
    subject = {
        Action.FAILED: "Undelivered Mail Returned to Sender",
        Action.DELAYED: "Delayed Mail (still being retried)",
    }
    yield mailbox_field("From", [("Mail Delivery System", reporter.address)])
    yield mailbox_field("To", [("", to)])
    yield text_field("Subject", subject[fate.action])
    yield text_field("Date", _date(fate.at))
    yield text_field("Message-ID", f"<dsn.{mark}@{reporter.host}>")
    yield text_field("Auto-Submitted", "auto-replied")
    yield text_field("MIME-Version", "1.0")
    kind = f'multipart/report; report-type=delivery-status; boundary="=_{mark}"'
    yield text_field("Content-Type", kind)


def _told(fate: Fate, original: Original, reporter: Reporter) -> bytes:
    """Return the part for people."""
    recipient, reply = _ascii(fate.recipient), _ascii(str(fate.reply))[:MAX_DIAGNOSTIC]
    if fate.action is Action.DELAYED:
        first = "Your message has not been delivered yet. There is nothing you need to do:"
        until = f" until {_date(fate.retry_until)}" if fate.retry_until else ""
        second = f"it is tried again{until}."
    else:
        first = "Your message could not be delivered, and it is not tried again."
        second = "It was tried for as long as mail is kept." if fate.expired else ""
    said = f"{_ascii(fate.mx)} said:" if fate.mx else "The reason:"
    lines = [
        f"This is the mail system at {reporter.host}.",
        "",
        first,
        *([second] if second else []),
        "",
        f"Recipient: {recipient}",
        f"Subject:   {_ascii(original.subject)[:200]}",
        f"Accepted:  {_date(original.accepted_at)}",
        "",
        said,
        *_wrapped(reply),
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def _status(fate: Fate, original: Original, reporter: Reporter) -> bytes:
    """Return the part for programs: fields of the message, then those of the recipient."""
    message = [text_field("Reporting-MTA", f"dns; {reporter.host}")]
    if original.envelope_id:
        message.append(text_field("Original-Envelope-Id", _ascii(_unquoted(original.envelope_id))))
    message.append(text_field("Arrival-Date", _date(original.accepted_at)))
    about = [text_field("Final-Recipient", _typed(fate.recipient))]
    if fate.requested:
        kind, _, address = fate.requested.partition(";")
        about.insert(0, text_field("Original-Recipient", _requested(kind, address)))
    about += [text_field("Action", str(fate.action)), text_field("Status", fate.status)]
    if fate.mx:
        about.append(text_field("Remote-MTA", f"dns; {_ascii(fate.mx)}"))
    about += [
        text_field("Diagnostic-Code", _diagnostic(fate.reply)),
        text_field("Last-Attempt-Date", _date(fate.at)),
    ]
    if fate.action is Action.DELAYED and fate.retry_until:
        about.append(text_field("Will-Retry-Until", _date(fate.retry_until)))
    return b"".join([*message, b"\r\n", *about])


def _diagnostic(reply: SmtpReply) -> str:
    """Return the reply with its kind: what no server said is ours."""
    text = _ascii(str(reply))[:MAX_DIAGNOSTIC]
    return f"smtp; {text}" if reply.code else f"x-mailroom; {text}"


def _typed(address: str) -> str:
    """Return an address with its type; one beyond ASCII as RFC 6533 writes it in seven bits."""
    return f"rfc822; {address}" if address.isascii() else f"utf-8; {_escaped(address)}"


def _requested(kind: str, address: str) -> str:
    """Return an ORCPT as it is reported: xtext ends where SMTP does."""
    if kind.lower() == "utf-8":
        return f"utf-8; {_escaped(address)}"  # its own escapes are part of the address form
    return f"{_ascii(kind)}; {_ascii(_unquoted(address))}"


def _escaped(address: str) -> str:
    return "".join(
        each if each.isascii() else f"\\x{{{ord(each):X}}}" for each in _one_line(address)
    )


def _unquoted(xtext: str) -> str:
    return _XTEXT.sub(lambda found: chr(int(found[1], 16)), xtext)


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)


def _ascii(text: str) -> str:
    """Return text in one line of ASCII; what does not fit becomes a question mark."""
    return _one_line(text).encode("ascii", "replace").decode()


def _wrapped(text: str) -> Iterator[str]:
    for start in range(0, len(text), _LINE):
        yield f"    {text[start : start + _LINE]}"


def _returned(header: bytes) -> bytes:
    """Return a header for its part, cut at a line's end if it is too long."""
    kept = header[:MAX_RETURNED]
    if len(header) > MAX_RETURNED:
        kept = kept[: kept.rfind(b"\r\n") + 2]
    return bytes(octet if octet < 0x80 else 0x3F for octet in kept)


def _date(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at), UTC))
