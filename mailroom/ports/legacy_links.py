"""Links of mail that another platform has sent, imported for a while."""

from collections.abc import Iterable
from typing import Protocol

from mailroom.domain.legacy_link import LegacyLink


class LegacyLinks(Protocol):
    """Where old links lead. Rows expire on their own."""

    def servers(self) -> frozenset[str]:
        """Return the tokens of servers that have imported links; may be a minute old."""

    def find(self, server: str, token: str) -> str | None:
        """Return the URL of a link, or None."""

    def put(self, links: Iterable[LegacyLink], *, until: float) -> int:
        """Write links that are wanted until then (Unix seconds); say how many.

        Writing a link again replaces it. The servers are known to `servers` before their links.
        """
