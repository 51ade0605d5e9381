"""Where a domain wants its TLS reports: the TXT record at `_smtp._tls.` (RFC 8460 section 3)."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from mailroom.domain.address import MalformedAddressError, parse_address
from mailroom.domain.webhook_target import UnfitTargetError, parse_target

MAX_DESTINATIONS = 4
_MAX_RECORD = 2_048  # characters
_VERSION = re.compile(r"v=TLSRPTv1[ \t]*;")


def parse_report_record(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the URIs that reports go to: `mailto:` and an address, or an https URL.

    Empty for a domain that asks for none: no record, two of them, a malformed one, or one whose
    destinations cannot be used. What a `mailto:` says behind `?` is left out.
    """
    ours = [text for text in texts if _VERSION.match(text)]
    if len(ours) != 1 or len(ours[0]) > _MAX_RECORD:
        return ()
    for field in ours[0].split(";")[1:]:
        name, _, value = field.strip(" \t").partition("=")
        if name == "rua":
            uris = (_destination(uri.strip(" \t")) for uri in value.split(","))
            return tuple(dict.fromkeys(uri for uri in uris if uri))[:MAX_DESTINATIONS]
    return ()


def _destination(uri: str) -> str:
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "mailto":
        address = unquote(rest.partition("?")[0])
        try:
            return f"mailto:{parse_address(address)}" if address.isascii() else ""
        except MalformedAddressError:
            return ""
    if scheme.lower() != "https":
        return ""
    try:
        target = parse_target(uri)
    except UnfitTargetError:
        return ""
    return uri if target.user is None else ""
