"""The Registry and Keyring ports in memory, held to the adapters' contract tests."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

from mailroom.domain.tenancy.record import Change, Place, Record, RecordPage
from mailroom.ports.registry import ConflictError


class MemoryRegistry:
    """Records in dictionaries, with the sort keys of each partition kept in order."""

    def __init__(self) -> None:
        self._records: dict[Place, Record] = {}
        self._sorts: dict[str, list[str]] = defaultdict(list)
        self.reads = 0  # calls that read, for tests that count them
        self.writes = 0

    def read(self, place: Place) -> Record | None:
        """See Registry.read."""
        self.reads += 1
        return self._copy(place)

    def read_many(self, places: Sequence[Place]) -> Mapping[Place, Record]:
        """See Registry.read_many."""
        self.reads += 1
        found = ((place, self._copy(place)) for place in places)
        return {place: record for place, record in found if record is not None}

    def page(
        self,
        partition: str,
        prefix: str,
        *,
        limit: int,
        after: str = "",
        newest_first: bool = False,
    ) -> RecordPage:
        """See Registry.page."""
        self.reads += 1
        sorts = self._with_prefix(partition, prefix)
        if newest_first:
            sorts = sorts[::-1]
        left = [s for s in sorts if not after or (s < after if newest_first else s > after)]
        taken = left[:limit]
        records = [self._records[Place(partition, sort)] for sort in taken]
        return RecordPage(
            tuple(deepcopy(records)), taken[-1] if taken and len(left) > limit else ""
        )

    def count(self, partition: str, prefix: str, *, most: int) -> int:
        """See Registry.count."""
        self.reads += 1
        return min(most, len(self._with_prefix(partition, prefix)))

    def write(self, changes: Sequence[Change]) -> None:
        """See Registry.write."""
        self.writes += 1
        for change in changes:
            kept = self._records.get(change.place)
            if change.expected is not None and change.expected != (kept.revision if kept else 0):
                raise ConflictError(change.place)
        for change in changes:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        kept = self._records.pop(change.place, None)
        sorts = self._sorts[change.place.partition]
        if kept is not None:
            del sorts[bisect_left(sorts, change.place.sort)]
        if change.record is not None:
            revision = (change.expected or 0) + 1
            self._records[change.place] = replace(
                change.record, body=deepcopy(change.record.body), revision=revision
            )
            insort(sorts, change.place.sort)

    def _copy(self, place: Place) -> Record | None:
        return deepcopy(self._records.get(place))

    def _with_prefix(self, partition: str, prefix: str) -> list[str]:
        sorts = self._sorts.get(partition, [])
        start = bisect_left(sorts, prefix)
        found = []
        for sort in sorts[start:]:
            if not sort.startswith(prefix):
                break
            found.append(sort)
        return found


class MemoryKeyring:
    """Encrypts nothing, but notices a wrong owner."""

    def wrap(self, secret: bytes, owner: str) -> bytes:
        """See Keyring.wrap."""
        return owner.encode() + b"\0" + secret

    def unwrap(self, wrapped: bytes, owner: str) -> bytes:
        """See Keyring.unwrap. Raises ValueError for another owner's."""
        context, _, secret = wrapped.partition(b"\0")
        if context != owner.encode():
            raise ValueError("wrapped for another owner")
        return secret
