"""Tracking paths of mail that Postal has sent: `/<server>/<link>` and `/img/<server>/<message>`.

They stand in mail for years, and their domains point at us once a tenant has moved.
"""

import re
from dataclasses import dataclass

from mailroom.domain.tracking_token import is_trackable

# Postal 1 drew link tokens of eight characters, later ones have sixteen.
_SERVER = re.compile(r"[a-zA-Z0-9]{6}\Z")
_TOKEN = re.compile(r"[a-zA-Z0-9]{8,16}\Z")
_HOST = re.compile(r"https?://[a-z0-9][a-z0-9.-]{0,252}(?::[0-9]{1,5})?\Z")
MAX_URL = 8_000  # octets: what fits into a Location header of any gateway


@dataclass(frozen=True, slots=True)
class LegacyLink:
    """A link of a message that Postal sent: its server's token, its own, and where it leads."""

    server: str
    token: str
    url: str

    def __post_init__(self) -> None:
        if not is_legacy(self.server, self.token):
            raise ValueError("no link of Postal's has such tokens")
        if not is_trackable(self.url) or len(self.url.encode("utf-8", "replace")) > MAX_URL:
            raise ValueError("only http and https URLs of up to 8,000 octets are redirected to")


@dataclass(frozen=True, slots=True)
class LegacyHost:
    """The tracking host of the old installation (`https://host`), asked until `until`.

    `until` is Unix seconds. Raises ValueError for what is no http(s) origin: the host is fixed by
    configuration and never taken from a request, or this would redirect to anywhere.
    """

    origin: str
    until: float

    def __post_init__(self) -> None:
        if not _HOST.match(self.origin):
            raise ValueError("not the origin of a host, such as https://track.example.com")

    def link(self, server: str, token: str, now: float) -> str:
        """Return the URL of a link at the old host, or "" when its time is over."""
        return f"{self.origin}/{server}/{token}" if now < self.until else ""

    def pixel(self, server: str, message: str, now: float) -> str:
        """Return the URL of a pixel at the old host, or "" when its time is over."""
        return f"{self.origin}/img/{server}/{message}" if now < self.until else ""


def is_legacy(server: str, token: str) -> bool:
    """Say whether two path segments look like Postal's: a server token and another token."""
    return _SERVER.match(server) is not None and _TOKEN.match(token) is not None
