"""Static routes: domains whose next host an operator has fixed."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

_HOST_PORT = re.compile(
    r"(?:\[(?P<ip6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>\d{1,5})\Z"
)


@dataclass(frozen=True, slots=True)
class NextHop:
    """Where a route leads: a host name or IP address, and a port."""

    host: str
    port: int

    @property
    def is_address(self) -> bool:
        """Say whether `host` needs no look-up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_next_hop(text: str) -> NextHop:
    """Read `host:port` or `[IPv6]:port`. Raises ValueError for anything else."""
    found = _HOST_PORT.match(text)
    if not found or not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    hop = NextHop(found["ip6"] or found["host"].lower(), int(found["port"]))
    if found["ip6"] and not hop.is_address:
        raise ValueError(f"{text!r} is not [IPv6]:port")
    return hop


@dataclass(frozen=True, slots=True)
class StaticRoutes:
    """Routes by domain, by `*.suffix` (any name below it) and `*` (every domain).

    Keys are lower-case A-labels. The most exact one wins.
    """

    hops: Mapping[str, NextHop]

    @classmethod
    def parse(cls, routes: Mapping[str, str]) -> "StaticRoutes":
        """Read a mapping of domain pattern to `host:port`. Raises ValueError for a bad port."""
        return cls({name.lower(): parse_next_hop(hop) for name, hop in routes.items()})

    def find(self, domain: str) -> NextHop | None:
        """Return the next hop of `domain` (a lower-case A-label), or None."""
        if not self.hops:
            return None
        exact = self.hops.get(domain)
        if exact:
            return exact
        rest = domain
        while "." in rest:
            rest = rest.partition(".")[2]
            below = self.hops.get(f"*.{rest}")
            if below:
                return below
        return self.hops.get("*")
