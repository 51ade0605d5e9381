"""The LegacyLinks port in memory."""

from collections.abc import Iterable

from mailroom.domain.legacy_link import LegacyLink
from mailroom.ports import Clock


class MemoryLegacyLinks:
    """A dictionary; what has expired is not found."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._links: dict[tuple[str, str], tuple[str, float]] = {}
        self.reads = 0

    def servers(self) -> frozenset[str]:
        """See LegacyLinks.servers."""
        return frozenset(server for server, _ in self._links)

    def find(self, server: str, token: str) -> str | None:
        """See LegacyLinks.find."""
        self.reads += 1
        url, until = self._links.get((server, token), ("", 0.0))
        return url if self._clock.now() < until else None

    def put(self, links: Iterable[LegacyLink], *, until: float) -> int:
        """See LegacyLinks.put."""
        count = 0
        for link in links:
            self._links[link.server, link.token] = (link.url, until)
            count += 1
        return count
