"""Reading recipients: lists or comma strings, names stripped, the caller's spelling kept."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mail_api.params import Params, checked
from mail_api.postal_envelope import ParameterError
from mailroom.domain.address import Address, MalformedAddressError, parse_mailboxes

MAX_FIELD = 50  # entries of to, cc and bcc each, as in Postal
_MAX_LIST_TEXT = 64 * 1024  # characters of one comma string or entry


@dataclass(frozen=True, slots=True)
class Recipient:
    """One mailbox; `given` is the bare address as the caller wrote it, the key of our answer."""

    name: str
    address: Address
    given: str


def read_recipients(params: Params, field: str, limit: int) -> Sequence[Recipient]:
    """Return the mailboxes of a field that is a list or a comma string; blank entries are passed.

    Reads at most `limit` + 1, so that a caller can tell that there are too many.
    Raises ParameterError for a malformed address or another type.
    """
    value = params.get(field)
    if value is None:
        return ()
    if isinstance(value, str):
        return read_mailboxes(value, field)[: limit + 1]
    if not isinstance(value, list):
        raise ParameterError(f"{field} must be a list of addresses or a string")
    found: list[Recipient] = []
    for entry in value:
        if len(found) > limit:
            break
        if not isinstance(entry, str):
            raise ParameterError(f"{field} must hold strings")
        if entry.strip():
            found.append(read_mailbox(entry, field))
    return found


def read_mailbox(text: str, field: str) -> Recipient:
    """Read exactly one mailbox. Raises ParameterError."""
    found = read_mailboxes(text, field)
    if len(found) != 1:
        raise ParameterError(f"{field} is not one mail address: {_shown(text)}")
    return found[0]


def read_mailboxes(text: str, field: str) -> Sequence[Recipient]:
    """Read a comma-separated list, commas inside quotes respected. Raises ParameterError."""
    if len(checked(text, field)) > _MAX_LIST_TEXT:
        raise ParameterError(f"{field} is longer than {_MAX_LIST_TEXT} characters")
    try:
        mailboxes = parse_mailboxes(text)
        ready = [(name, address, _ascii(address)) for name, address in mailboxes]
    except MalformedAddressError as error:
        raise ParameterError(f"{field} has a malformed address, {error}: {_shown(text)}") from error
    found: list[Recipient] = []
    at = 0
    for name, address, plain in ready:
        given, at = _as_given(text, address, at)
        found.append(Recipient(name, plain, given))
    return found


def distinct(recipients: Iterable[Recipient]) -> dict[Address, list[Recipient]]:
    """Group by address, in the order of first mention: one delivery each."""
    found: dict[Address, list[Recipient]] = {}
    for recipient in recipients:
        found.setdefault(recipient.address, []).append(recipient)
    return found


def _ascii(address: Address) -> Address:
    """Return `address` with its domain as A-labels (RFC 5891).

    Python's encoder knows IDNA 2003 only, where a few characters (German sharp s) name another
    domain than today; those must be given as A-labels.
    """
    if not address.local.isascii():
        raise MalformedAddressError("the part before @ must be ASCII")
    if address.domain.isascii():
        return address
    try:
        name = address.domain.encode("idna").decode("ascii")
        same = name.encode("ascii").decode("idna") == address.domain
    except UnicodeError:
        same = False
    if not same:
        raise MalformedAddressError("the domain must be written with its xn-- labels")
    return Address(address.local, name)


def _as_given(text: str, address: Address, at: int) -> tuple[str, int]:
    """Find the caller's spelling: parsing has lowered the domain's case."""
    pattern = f"{re.escape(address.local)}@(?i:{re.escape(address.domain)})"
    found = re.compile(pattern).search(text, at)
    return (found[0], found.end()) if found else (str(address), at)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:97] + "...")
