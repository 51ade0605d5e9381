"""DKIM key records: how ours are worded and what one that is published amounts to (RFC 6376, 8463).

Two wordings of one RSA key are in use: ours, and Postal's for keys that came from there. Both say
the same to a verifier; tags are compared by what they mean, not by how they are spelled.
"""

import re
from base64 import b64decode
from dataclasses import dataclass
from enum import StrEnum

from mailroom.domain.dns.tags import TagListError, parse_tags

_SPACE = re.compile(r"\s+")


class KeyKind(StrEnum):
    """Kinds of DKIM keys; values are those of the record's k= tag and are stored."""

    RSA = "rsa"
    ED25519 = "ed25519"


class Wording(StrEnum):
    """How the record of a key is written. Values are stored; never rename them."""

    PLAIN = "plain"
    POSTAL = "postal"


@dataclass(frozen=True, slots=True)
class RecordFault:
    """Why a published text is not the record of a key, in one sentence."""

    reason: str


def dkim_value(kind: KeyKind, public: str, wording: Wording = Wording.PLAIN) -> str:
    """Return the text of the record. `public` is the p= value in base64.

    Postal's wording is octet for octet what Postal 3 shows, so that nothing has to be published
    again: `t=s` and a final semicolon included. It exists for RSA only.
    """
    if wording is Wording.POSTAL and kind is KeyKind.RSA:
        return f"v=DKIM1; t=s; h=sha256; p={public};"
    return f"v=DKIM1; k={kind}; p={public}"


def compare_dkim(published: str, kind: KeyKind, public: str) -> RecordFault | None:
    """Return what is wrong with a published key record, None if it is that of the key.

    White space, the order of tags, a final `;` and tags without influence on our signatures do
    not matter (RFC 6376 section 3.6.1).
    """
    try:
        tags = parse_tags(published)
    except TagListError as error:
        return RecordFault(f"The DKIM record cannot be read: {error}.")
    for check in (_version, _kind, _hashes, _services, _flags):
        fault = check(tags, kind)
        if fault is not None:
            return fault
    return _key(tags, public)


def _version(tags: dict[str, str], _: KeyKind) -> RecordFault | None:
    # It must come first if it is there at all, and its value has one spelling.
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        return RecordFault("The DKIM record does not begin with v=DKIM1.")
    return None


def _kind(tags: dict[str, str], kind: KeyKind) -> RecordFault | None:
    published = tags.get("k", "rsa")
    if published != kind:
        return RecordFault(f"The DKIM record says k={published[:20]}, and the key is {kind}.")
    return None


def _hashes(tags: dict[str, str], _: KeyKind) -> RecordFault | None:
    listed = [each.strip() for each in tags.get("h", "sha256").split(":")]
    if "sha256" not in listed:
        return RecordFault("The DKIM record does not allow sha256 in its h= tag.")
    return None


def _services(tags: dict[str, str], _: KeyKind) -> RecordFault | None:
    listed = [each.strip() for each in tags.get("s", "*").split(":")]
    if not {"*", "email"} & set(listed):
        return RecordFault("The DKIM record is not for e-mail, by its s= tag.")
    return None


def _flags(tags: dict[str, str], _: KeyKind) -> RecordFault | None:
    listed = [each.strip() for each in tags.get("t", "").split(":")]
    if "y" in listed:
        return RecordFault("The DKIM record says t=y, so receivers ignore signatures: remove it.")
    return None


def _key(tags: dict[str, str], public: str) -> RecordFault | None:
    if "p" not in tags:
        return RecordFault("The DKIM record has no key (p=).")
    published = _SPACE.sub("", tags["p"])
    if not published:
        return RecordFault("The DKIM record has an empty key (p=): the key is revoked.")
    if _octets(published) is None:
        return RecordFault("The key of the DKIM record is not base64: perhaps it is cut off.")
    if _octets(published) != _octets(public):
        if public.startswith(published):
            return RecordFault("The key of the DKIM record is cut off.")
        return RecordFault("The DKIM record has another key.")
    return None


def _octets(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
