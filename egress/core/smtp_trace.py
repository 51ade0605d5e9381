"""The Received field of mail that comes in by submission (RFC 5321 section 4.4)."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime

_UNUSUAL = re.compile(r"[^A-Za-z0-9._:\[\]-]")
MAX_OCTETS = 1024  # of a whole field: two names of at most 255, an address, an id, a date


def received_field(*, client: str, address: str, host: str, id_: str, now: float) -> bytes:
    """Return the field with its CRLF. `client` is the EHLO name, `now` Unix seconds.

    Always ESMTPSA (RFC 3848): nobody gets here without TLS and a login. No name is looked up for
    `address`; a resolver that hangs must not hold up mail.
    """
    name = _UNUSUAL.sub("_", client)[:255]
    literal = f"IPv6:{address}" if ":" in address else address
    date = format_datetime(datetime.fromtimestamp(int(now), UTC))
    return (
        f"Received: from {name} ([{literal}])\r\n\tby {host} with ESMTPSA id {id_};\r\n\t{date}\r\n"
    ).encode("ascii", "replace")
