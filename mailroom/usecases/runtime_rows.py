"""The migration of resources whose runtime rows an earlier release did not write, or not whole.

Pools and addresses had none; those of organisations did not name the default pool.
"""

from collections.abc import Sequence

from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.record import ABSENT, Change, Record
from mailroom.domain.tenancy.resource import load_resource, prefix_of
from mailroom.ports.migration import Batch, Walk
from mailroom.ports.registry import Registry

_KINDS = {prefix_of(kind.name): kind for kind in (ORGANISATION, POOL, POOL_ADDRESS)}


class WriteRuntimeRows:
    """A `Work` over Records of the directory table."""

    name = "sources"

    def __init__(self, registry: Registry, walk: Walk) -> None:
        self._registry = registry
        self._walk = walk

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Work.batch."""
        return self._walk.batch(part, of, after)

    def plan(self, item: Record) -> Sequence[Change] | None:
        """See Work.plan. A resource that changes meanwhile is planned anew."""
        kind = next((k for before, k in _KINDS.items() if item.place.sort.startswith(before)), None)
        record = self._registry.read(item.place) if kind else None
        if kind is None or record is None:
            return None
        changes = []
        for row in kind.runtime(load_resource(record)):
            kept = self._registry.read(row.place)
            if kept is None or dict(kept.body) != dict(row.body):
                changes.append(Change.put(row, kept.revision if kept else ABSENT))
        # The resource is written as it is: nothing happens if it has changed or gone.
        return [Change.put(record, record.revision), *changes] if changes else None

    def apply(self, planned: Sequence[Change]) -> None:
        """See Work.apply."""
        self._registry.write(planned)
