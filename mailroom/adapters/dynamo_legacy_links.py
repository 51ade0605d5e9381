"""The LegacyLinks port in the directory table: `legacy#<server token>#<link token>` / `-`.

One row names the servers that have any (`platform` / `legacy`), so that a stranger's made-up path
costs no read.
"""

import json
from collections.abc import Iterable
from itertools import islice

from mailroom.adapters.tables import DirectoryRow
from mailroom.domain.legacy_link import LegacyLink
from mailroom.ports import Clock

_FRESH_SECONDS = 60.0
_BATCH = 25  # what one BatchWriteItem takes


class DynamoLegacyLinks:
    """Keeps the set of servers for 60 seconds; a link is one read by its key."""

    def __init__(self, rows: type[DirectoryRow], clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._kept: tuple[float, frozenset[str]] | None = None

    def servers(self) -> frozenset[str]:
        """See LegacyLinks.servers."""
        now = self._clock.now()
        if self._kept is None or now - self._kept[0] >= _FRESH_SECONDS:
            self._kept = (now, self._read_servers())
        return self._kept[1]

    def find(self, server: str, token: str) -> str | None:
        """See LegacyLinks.find. DynamoDB removes expired rows late, so the time is looked at."""
        try:
            row = self._rows.get(_pk(server, token), "-")
        except self._rows.DoesNotExist:
            return None
        url: str = json.loads(row.json)["url"]
        return url if self._clock.now() < (row.ttl or 0) else None

    def put(self, links: Iterable[LegacyLink], *, until: float) -> int:
        """See LegacyLinks.put."""
        count, known, source = 0, set[str](), iter(links)
        while batch := list(islice(source, _BATCH)):
            fresh = {link.server for link in batch} - known
            if fresh:
                self._rows("platform", "legacy").update(actions=[self._rows.servers.add(fresh)])
                known |= fresh
            # A batch must not name a row twice; the last one wins, as it would one by one.
            once = {(link.server, link.token): link for link in batch}
            with self._rows.batch_write() as writing:
                for link in once.values():
                    row = self._rows(_pk(link.server, link.token), "-")
                    row.json, row.ttl = json.dumps({"url": link.url}), int(until)
                    writing.save(row)
            count += len(batch)
        return count

    def _read_servers(self) -> frozenset[str]:
        try:
            return frozenset(self._rows.get("platform", "legacy").servers or ())
        except self._rows.DoesNotExist:
            return frozenset()


def _pk(server: str, token: str) -> str:
    return f"legacy#{server}#{token}"
