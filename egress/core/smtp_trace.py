"""The Received field of mail that comes in by submission (RFC 5321 section 4.4)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

_UNUSUAL = re.compile(r"[^A-Za-z0-9._:\[\]-]")
MAX_OCTETS = 1024  # of a whole field: two names of at most 255, an address, an id, a date


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message came in. `client` is the EHLO or HELO name, `address` the client's IP."""

    client: str
    address: str
    extended: bool = True
    utf8: bool = False
    secure: bool = True
    logged_in: bool = True

    @property
    def protocol(self) -> str:
        """The word behind `with` (RFC 3848, RFC 6531 section 4.3)."""
        if not self.extended and not (self.secure or self.logged_in):
            return "SMTP"
        name = "UTF8SMTP" if self.utf8 else "ESMTP"
        return name + "S" * self.secure + "A" * self.logged_in


def received_field(arrival: Arrival, *, host: str, id_: str, now: float, private: bool) -> bytes:
    """Return the field with its CRLF; `now` is Unix seconds, `private` leaves the client out.

    No name is looked up for the address; a resolver that hangs must not hold up mail.
    """
    date = format_datetime(datetime.fromtimestamp(int(now), UTC))
    by = f"by {host} with {arrival.protocol} id {id_};\r\n\t{date}\r\n"
    if private:
        return f"Received: {by}".encode("ascii", "replace")
    name = _UNUSUAL.sub("_", arrival.client)[:255]
    literal = f"IPv6:{arrival.address}" if ":" in arrival.address else arrival.address
    return f"Received: from {name} ([{literal}])\r\n\t{by}".encode("ascii", "replace")
