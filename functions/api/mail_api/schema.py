"""What callers may send: JSON parameters in, values of the domain out, or a clear refusal.

The order of the checks is Postal's, because clients see only the first error.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mail_api.params import Params, checked, loose_text, text, truthy
from mail_api.postal_envelope import ParameterError, PostalError
from mail_api.recipients import MAX_FIELD, Recipient, read_mailbox, read_mailboxes, read_recipients
from mailroom.domain.compose import DEFAULT_TYPE, Attachment, Letter, Mailbox
from mailroom.domain.headers import MAX_HEADER_OCTETS, to_crlf
from mailroom.domain.transfer_encoding import decoded
from mailroom.usecases.accept import MAX_ACCEPTED_RECIPIENTS

MAX_ATTACHMENTS = 250
MAX_TAG = 255  # characters, the width of Postal's column

EXPANSIONS = (
    "status",
    "details",
    "inspection",
    "plain_body",
    "html_body",
    "attachments",
    "headers",
    "raw_message",
    "activity_entries",
)
_TOO_MANY = {
    "to": "TooManyToAddresses",
    "cc": "TooManyCCAddresses",
    "bcc": "TooManyBCCAddresses",
}


@dataclass(frozen=True, slots=True)
class MessageCall:
    """A `send/message` call that passed every check but acceptance itself."""

    letter: Letter
    recipients: tuple[Recipient, ...]
    mail_from: str
    tag: str | None
    bounce: bool


@dataclass(frozen=True, slots=True)
class RawCall:
    """A `send/raw` call; `raw` has CRLF line ends."""

    raw: bytes
    recipients: tuple[Recipient, ...]
    mail_from: str
    bounce: bool


def parse_message(params: Params, verified: Callable[[str], bool]) -> MessageCall:
    """Read a `send/message` call; `verified` says whether the caller may send from a domain.

    Raises PostalError and ParameterError.
    """
    fields = {name: read_recipients(params, name, MAX_FIELD) for name in ("to", "cc", "bcc")}
    _count(fields)
    plain, html = text(params, "plain_body"), text(params, "html_body")
    if plain is None and html is None:
        raise PostalError("NoContent", "The message has neither a plain nor an HTML body")
    author = _author(params, verified)
    sender, reply_to = text(params, "sender"), text(params, "reply_to")
    letter = Letter(
        author=(author.name, author.address),
        to=_mailboxes(fields["to"]),
        cc=_mailboxes(fields["cc"]),
        sender=_mailbox(read_mailbox(sender, "sender")) if sender else None,
        reply_to=_mailboxes(read_mailboxes(reply_to, "reply_to")) if reply_to else (),
        subject=_subject(params),
        plain=plain,
        html=html,
        attachments=_attachments(params),
        headers=_headers(params),
    )
    return MessageCall(
        letter=letter,
        recipients=(*fields["to"], *fields["cc"], *fields["bcc"]),
        mail_from=str(author.address),
        tag=_tag(params),
        bounce=truthy(params, "bounce"),
    )


def parse_raw(params: Params) -> RawCall:
    """Read a `send/raw` call. Raises ParameterError."""
    rcpt_to = params.get("rcpt_to")
    if not isinstance(rcpt_to, list):
        raise ParameterError("rcpt_to is required and must be a list of addresses")
    mail_from = text(params, "mail_from")
    if mail_from is None:
        raise ParameterError("mail_from is required")
    encoded = text(params, "data")
    if encoded is None:
        raise ParameterError("data is required: the raw message in base64")
    recipients = read_recipients(params, "rcpt_to", MAX_ACCEPTED_RECIPIENTS)
    if len(recipients) > MAX_ACCEPTED_RECIPIENTS:
        raise ParameterError(f"rcpt_to has more than {MAX_ACCEPTED_RECIPIENTS} addresses")
    return RawCall(
        raw=to_crlf(_octets(encoded, "data")),
        recipients=tuple(recipients),
        mail_from=_envelope_sender(mail_from),
        bounce=truthy(params, "bounce"),
    )


def parse_id(params: Params) -> int:
    """Return the `id` of a message: an integer or a string of digits.

    Raises ParameterError if it is missing or of another type, PostalError MessageNotFound for a
    string that is no number. (Postal: HTTP 500 for any string, SQL out of an object.)
    """
    value = params.get("id")
    match value:
        case None | "":
            raise ParameterError("id is required")
        case bool():
            raise ParameterError("id must be an integer")
        case int():
            return value
        case str() if value.isascii() and value.isdigit() and len(value) <= 20:
            return int(value)
        case str():
            raise not_found(value)
        case _:
            raise ParameterError("id must be an integer")


def parse_expansions(params: Params) -> frozenset[str]:
    """Return the names of `_expansions`: all for true, none for null, false or nothing.

    Names that do not exist are passed over, as in Postal. Raises ParameterError for another type.
    """
    match params.get("_expansions"):
        case None | False:
            return frozenset()
        case True:
            return frozenset(EXPANSIONS)
        case list() as names if all(isinstance(name, str) for name in names):
            return frozenset(names)
        case _:
            raise ParameterError("_expansions must be true or a list of names")


def not_found(id_: object) -> PostalError:
    """Return the error for an id that names no message of the caller's server."""
    # Text may hold what UTF-8 cannot write; the answer must.
    shown = id_[:100].encode("utf-8", "replace").decode() if isinstance(id_, str) else id_
    return PostalError("MessageNotFound", "There is no message with that id", id=shown)


def _count(fields: Mapping[str, Sequence[Recipient]]) -> None:
    if not any(fields.values()):
        raise PostalError("NoRecipients", "The message has no recipients in to, cc or bcc")
    for name, code in _TOO_MANY.items():
        if len(fields[name]) > MAX_FIELD:
            raise PostalError(code, f"{name} has more than {MAX_FIELD} addresses")


def _author(params: Params, verified: Callable[[str], bool]) -> Recipient:
    given = text(params, "from")
    if given is None:
        raise PostalError("FromAddressMissing", "The message has no from address")
    author = read_mailbox(given, "from")
    if not verified(author.address.domain):
        raise PostalError(
            "UnauthenticatedFromAddress", "The from address is at no verified domain of this server"
        )
    return author


def _attachments(params: Params) -> tuple[Attachment, ...]:
    entries = params.get("attachments")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise ParameterError("attachments must be a list of objects")
    objects = [entry for entry in entries if isinstance(entry, dict)]  # Postal drops the others
    if len(objects) > MAX_ATTACHMENTS:
        raise ParameterError(f"there are more than {MAX_ATTACHMENTS} attachments")
    for entry in objects:
        if text(entry, "name") is None:
            raise PostalError("AttachmentMissingName", "An attachment has no name")
        if text(entry, "data") is None:
            raise PostalError("AttachmentMissingData", "An attachment has no data")
    return tuple(map(_attachment, objects))


def _attachment(entry: Params) -> Attachment:
    name = text(entry, "name") or ""
    content = _octets(text(entry, "data") or "", f"data of the attachment {name[:100]!r}")
    return Attachment(name, text(entry, "content_type") or DEFAULT_TYPE, content)


def _octets(encoded: str, name: str) -> bytes:
    """Decode base64; blanks and line breaks inside are fine, as MIME writers put them there."""
    octets = decoded(encoded.encode("ascii"), "base64") if encoded.isascii() else None
    if octets is None:
        raise ParameterError(f"{name} is not valid base64")
    return octets


def _headers(params: Params) -> tuple[tuple[str, str], ...]:
    given = params.get("headers")
    if given is None:
        return ()
    if not isinstance(given, dict):
        raise ParameterError("headers must be an object of names and values")
    found = [(checked(name, "a header name"), loose_text(value, f"the header {name[:100]!r}"))
             for name, value in given.items()]  # fmt: skip
    if sum(len(name) + len(value or "") for name, value in found) > MAX_HEADER_OCTETS:
        raise ParameterError(f"headers are longer than {MAX_HEADER_OCTETS} characters")
    return tuple((name, value) for name, value in found if value is not None)


def _subject(params: Params) -> str | None:
    subject = loose_text(params.get("subject"), "subject")
    if subject and len(subject) > MAX_HEADER_OCTETS:
        raise ParameterError(f"subject is longer than {MAX_HEADER_OCTETS} characters")
    return subject or None


def _tag(params: Params) -> str | None:
    tag = loose_text(params.get("tag"), "tag")
    if tag and (len(tag) > MAX_TAG or not tag.isprintable()):
        raise ParameterError(f"tag must be at most {MAX_TAG} printable characters")
    return tag or None


def _envelope_sender(given: str) -> str:
    return "" if given.strip() == "<>" else str(read_mailbox(given, "mail_from").address)


def _mailboxes(recipients: Sequence[Recipient]) -> tuple[Mailbox, ...]:
    return tuple(map(_mailbox, recipients))


def _mailbox(recipient: Recipient) -> Mailbox:
    return recipient.name, recipient.address
