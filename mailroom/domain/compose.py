"""Building the raw message of a `send/message` call.

The shape is Postal's: multipart/mixed around multipart/alternative, even for a plain text alone.
The octets depend on the arguments only, are seven-bit and have short lines, so that no relay has
a reason to change what was signed.
"""

import base64
import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from mailroom.domain.address import Address, MalformedAddressError, parse_mailboxes
from mailroom.domain.header_encoding import (
    MAX_LINE,
    UnfitHeaderError,
    checked_name,
    checked_text,
    mailbox_field,
    parameter,
    text_field,
)
from mailroom.domain.headers import to_crlf
from mailroom.domain.transfer_encoding import quoted_printable

MAX_FILENAME = 255  # characters
_MAX_TYPE = 500  # characters
_MAX_QUOTED = 1024 * 1024  # octets
DEFAULT_TYPE = "application/octet-stream"

Mailbox = tuple[str, Address]

_MEDIA = re.compile(r"([a-z0-9!#$&^_.+-]{1,80})/([a-z0-9!#$&^_.+-]{1,80})[ \t]*(?:;|\Z)", re.I)
_PARAMETER = re.compile(r"[;\s]*([a-z0-9-]{1,40})=(?:\"([^\"\\\x00-\x1f]*)\"|([^\s;\"]+))", re.I)
_CONTENT_ID = re.compile(r"[A-Za-z0-9._%+@-]{1,120}\Z")
_SPECIAL = bytes([*range(9), 11, 12, *range(14, 32), *range(127, 256)])  # not fit for 7bit
# RFC 2046 section 5: these may not be encoded, and what we get is already octets.
_UNENCODABLE = frozenset({"multipart", "message"})
_KEPT_PARAMETERS = frozenset({"charset", "method", "format", "profile", "version"})
_ADDRESS_FIELDS = frozenset(
    {"from", "sender", "to", "cc", "reply-to", "resent-from", "resent-sender", "resent-to",
     "resent-cc", "disposition-notification-to"}
)  # fmt: skip
# Ours to write, or never written at all. The rest of the reserved ones depends on the letter.
_RESERVED = frozenset(
    {"from", "message-id", "received", "bcc", "mime-version", "content-type",
     "content-transfer-encoding", "content-disposition"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file. `media_type` may carry a charset, as in `text/csv; charset=utf-8`.

    One with a `content_id` belongs to the HTML, which shows it as `cid:<content_id>`.
    """

    name: str
    media_type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """What the caller wrote. Addresses are ASCII; `headers` are its own, in order.

    As in Postal a field that has a parameter of its own (`subject`, `to` ...) wins over the same
    name among `headers`.
    """

    author: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    subject: str | None = None
    plain: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Postmark:
    """What the platform adds: `message_id` without brackets, `now` in Unix seconds, `boundary`
    24 or so characters nobody could have guessed."""

    message_id: str
    now: float
    boundary: str
    received: str


def received_line(client_ip: str, *, by: str, now: float, private: bool = False) -> str:
    """Return the value of the Received field of an API call, as Postal writes it.

    A `client_ip` that is no address is left out, and all of the client if `private`.
    """
    if private:
        return f"by {by} with HTTP; {_date(now)}"
    try:
        ip = ipaddress.ip_address(client_ip)
    except ValueError:
        return f"from api by {by} with HTTP; {_date(now)}"
    literal = f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"
    return f"from api ({literal}) by {by} with HTTP; {_date(now)}"


def compose(letter: Letter, postmark: Postmark) -> bytes:
    """Return the raw message: CRLF, ASCII, no line over 998 octets. There is never a Bcc field.

    Raises UnfitHeaderError for a header, file name or media type that cannot be written safely.
    """
    lines = [*_fields(letter, postmark), *_own_fields(letter)]
    if not any(line.lower().startswith(b"date:") for line in lines):
        lines.insert(1, text_field("Date", _date(postmark.now)))
    mixed = f"=_{postmark.boundary}-m"
    lines += [
        b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 7bit\r\n",
        _multipart("mixed", mixed),
        b"\r\n",
        *_delimited(mixed, _parts(letter, postmark.boundary)),
    ]
    return b"".join(lines)


def _fields(letter: Letter, postmark: Postmark) -> Iterator[bytes]:
    yield text_field("Received", postmark.received)
    yield text_field("Message-ID", f"<{postmark.message_id}>")
    yield mailbox_field("From", [letter.author])
    if letter.sender:
        yield mailbox_field("Sender", [letter.sender])
    for name, mailboxes in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if mailboxes:
            yield mailbox_field(name, mailboxes)
    if letter.subject is not None:
        yield text_field("Subject", letter.subject)


def _own_fields(letter: Letter) -> Iterator[bytes]:
    given = {"sender": letter.sender, "to": letter.to, "cc": letter.cc,
             "reply-to": letter.reply_to, "subject": letter.subject is not None}  # fmt: skip
    taken = _RESERVED | {name for name, value in given.items() if value}
    for name, value in letter.headers:
        checked_name(name)
        text = checked_text(value, name)
        if name.lower() in taken:
            continue
        if name.lower() in _ADDRESS_FIELDS:
            yield mailbox_field(name, _mailboxes(name, text))
        else:
            yield text_field(name, text)


def _mailboxes(name: str, text: str) -> list[Mailbox]:
    try:
        return parse_mailboxes(text)
    except MalformedAddressError as error:
        raise UnfitHeaderError(f"{name} is not a list of addresses: {error}") from error


def _parts(letter: Letter, boundary: str) -> Iterator[bytes]:
    inner = f"=_{boundary}-a"
    shown = [each for each in letter.attachments if each.content_id and letter.html is not None]
    written = [_text_part("plain", letter.plain)] if letter.plain is not None else []
    if letter.html is not None:
        html = _text_part("html", letter.html)
        written.append(_related(html, shown, f"=_{boundary}-r") if shown else html)
    yield b"".join([_multipart("alternative", inner), b"\r\n", *_delimited(inner, iter(written))])
    inside = {id(each) for each in shown}
    for attachment in letter.attachments:
        if id(attachment) not in inside:
            yield _attachment_part(attachment)


def _related(html: bytes, shown: Sequence[Attachment], boundary: str) -> bytes:
    """Return an HTML part together with what it shows (RFC 2387)."""
    parts = [html, *(_attachment_part(each, "inline") for each in shown)]
    top = f'Content-Type: multipart/related; type="text/html";\r\n boundary="{boundary}"\r\n\r\n'
    return b"".join([top.encode(), *_delimited(boundary, iter(parts))])


def _delimited(boundary: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    # `=_` occurs in neither quoted-printable nor base64, and plain text cannot know the rest.
    mark = boundary.encode()
    for part in parts:
        yield b"--" + mark + b"\r\n"
        yield part
        yield b"\r\n"
    yield b"--" + mark + b"--\r\n"


def _multipart(kind: str, boundary: str) -> bytes:
    return f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n'.encode()


def _text_part(kind: str, text: str) -> bytes:
    body = to_crlf(text.encode("utf-8"))
    encoding = "7bit"
    special = len(body) - len(body.translate(None, _SPECIAL))
    if special or max(map(len, body.split(b"\r\n"))) > MAX_LINE:
        # Quoted-printable goes line by line, which a large body of tiny lines makes slow.
        readable = special * 6 <= len(body) <= _MAX_QUOTED
        encoding = "quoted-printable" if readable else "base64"
        body = quoted_printable(body) if encoding == "quoted-printable" else _base64(body)
    return (
        f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    ).encode() + body


def _attachment_part(attachment: Attachment, disposition: str = "attachment") -> bytes:
    name = checked_text(attachment.name, "an attachment's name")
    if len(name) > MAX_FILENAME:
        raise UnfitHeaderError(f"an attachment's name is longer than {MAX_FILENAME} characters")
    content_id = f"Content-ID: <{_content_id(attachment)}>\r\n" if attachment.content_id else ""
    return b"".join(
        [
            f"Content-Type: {_media_type(attachment.media_type)}{parameter('name', name)}\r\n"
            f"Content-Disposition: {disposition}{parameter('filename', name)}\r\n{content_id}"
            "Content-Transfer-Encoding: base64\r\n\r\n".encode(),
            _base64(attachment.content),
        ]
    )


def _content_id(attachment: Attachment) -> str:
    if not _CONTENT_ID.match(attachment.content_id):
        raise UnfitHeaderError(
            "a content id has 1 to 120 letters, digits and ._%+-@ and is written without brackets"
        )
    return attachment.content_id


def _media_type(text: str) -> str:
    """Return the type with the parameters that say how to read it; the rest is dropped."""
    found = _MEDIA.match(text) if len(text) <= _MAX_TYPE else None
    if found is None or not text.isascii() or not text.isprintable():
        raise UnfitHeaderError(f"an attachment's content type is not one: {text[:60]!r}")
    if found[1].lower() in _UNENCODABLE:
        return DEFAULT_TYPE
    given = {m[1].lower(): m[2] or m[3] for m in _PARAMETER.finditer(text, found.end())}
    kept = "".join(parameter(n, v) for n, v in given.items() if n in _KEPT_PARAMETERS and v)
    return f"{found[1].lower()}/{found[2].lower()}{kept}"


def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", b"\r\n")[:-2]


def _date(now: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(now), UTC))
