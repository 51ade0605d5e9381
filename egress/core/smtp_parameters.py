"""The parameters of MAIL and RCPT: SIZE, BODY, AUTH, SMTPUTF8 and those of RFC 3461."""

from collections.abc import Mapping

from egress.core.smtp_answer import (
    BAD_ARGUMENT,
    BAD_RECIPIENT,
    NOT_ASCII,
    TOO_LARGE,
    UNKNOWN_PARAMETER,
    Answer,
)
from egress.core.smtp_command import MailPath
from egress.core.smtp_demand import OpenTransaction
from mailroom.domain.address import Address, MalformedAddressError, parse_address
from mailroom.domain.dsn_request import (
    MalformedDsnError,
    RecipientRequest,
    read_envelope_id,
    read_notify,
    read_original,
    read_returned,
)

_PLAIN = {"SIZE", "BODY", "AUTH"}
_EXTENDED = _PLAIN | {"SMTPUTF8", "RET", "ENVID"}  # only behind EHLO


def read_mail(path: MailPath, *, extended: bool, max_size: int) -> OpenTransaction | Answer:
    """Return what MAIL asks for, or the reply that refuses it. `extended` says EHLO was used."""
    given = path.parameters
    if not given.keys() <= (_EXTENDED if extended else _PLAIN):
        return UNKNOWN_PARAMETER
    refusal = _refused_size(given, max_size)
    if refusal is not None:
        return refusal
    utf8 = "SMTPUTF8" in given
    if given.get("SMTPUTF8"):
        return BAD_ARGUMENT  # it has no value, RFC 6531 section 3.4
    if not (utf8 or path.address.isascii()):
        return NOT_ASCII
    try:
        returned = read_returned(given["RET"]) if "RET" in given else ""
        envelope_id = read_envelope_id(given["ENVID"]) if "ENVID" in given else ""
    except MalformedDsnError:
        return BAD_ARGUMENT
    return OpenTransaction(path.address, utf8, returned, envelope_id)


def read_recipient(
    path: MailPath, *, extended: bool, utf8: bool
) -> tuple[Address, RecipientRequest] | Answer:
    """Return whom RCPT names and what it asks, or the reply that refuses it."""
    given = path.parameters
    if not given.keys() <= ({"NOTIFY", "ORCPT"} if extended else set()):
        return UNKNOWN_PARAMETER
    if not (utf8 or path.address.isascii()):
        return NOT_ASCII
    try:
        recipient = parse_address(path.address)
        notify = read_notify(given["NOTIFY"]) if "NOTIFY" in given else ()
        original = read_original(given["ORCPT"], utf8=utf8) if "ORCPT" in given else ""
    except MalformedDsnError:
        return BAD_ARGUMENT
    except MalformedAddressError:
        return BAD_RECIPIENT
    return recipient, RecipientRequest(notify, original)


def _refused_size(given: Mapping[str, str], max_size: int) -> Answer | None:
    size = given.get("SIZE", "0")
    if not (size.isascii() and size.isdigit()) or len(size) > 20:
        return BAD_ARGUMENT
    if int(size) > max_size:
        return TOO_LARGE
    if given.get("BODY", "7BIT").upper() not in {"7BIT", "8BITMIME"}:
        return BAD_ARGUMENT
    return None
