"""The Erasure and Removal ports over a MemoryLedger."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from mailroom.domain.event import Event
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.search_keys import day_of
from mailroom.domain.tenancy.record import Change
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.registry import MemoryRegistry
from mailroom.ports.erasure import StoredMail

K = TypeVar("K")


class MemoryErasure:
    """See Erasure."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    def rewrite_submission(self, before: Submission, after: Submission) -> None:
        """See Erasure.rewrite_submission."""
        name = (before.server, before.number)
        stored = self._ledger.submissions.get(name)
        if stored is not None:
            self._ledger.submissions[name] = replace(
                stored,
                subject=after.subject,
                dsn=after.dsn,
                metadata=after.metadata,
                body=after.body,
            )

    def rewrite_history(self, key: DeliveryKey, change: Callable[[Event], Event]) -> int:
        """See Erasure.rewrite_history."""
        return self._ledger.rewrite(key, change)

    def rewrite_recipient(self, before: Delivery, recipient: str) -> bool:
        """See Erasure.rewrite_recipient."""
        row = self._ledger.rows.get(before.key)
        seen = (before.recipient, before.state, before.generation)
        if row is None or (row.recipient, row.state, row.generation) != seen:
            return False
        self._ledger.rows[before.key] = replace(row, recipient=recipient, merge={})
        self._ledger.outbox.pop(before.key, None)
        return True


class MemoryRemoval:
    """See Removal. `facts`, `counts` and `calls` are how many rows of each there are."""

    def __init__(self, ledger: MemoryLedger, registry: MemoryRegistry | None = None) -> None:
        self._ledger = ledger
        self._registry = registry or MemoryRegistry()
        self.facts: dict[ServerId, int] = {}
        self.counts: dict[ServerId, int] = {}
        self.calls: dict[tuple[ServerId, str], int] = {}

    def mail(self, server: ServerId, day: float, limit: int) -> Sequence[StoredMail]:
        """See Removal.mail."""
        found = [
            StoredMail(each.number, each.body.key)
            for each in self._ledger.submissions.values()
            if each.server == server and day_of(each.accepted_at) == day_of(day)
        ]
        return found[:limit]

    def drop_mail(self, server: ServerId, numbers: Sequence[int]) -> int:
        """See Removal.drop_mail."""
        rows = 0
        for number in numbers:
            rows += self._ledger.submissions.pop((server, number), None) is not None
            keys = [k for k in self._ledger.rows if (k.server, k.number) == (server, number)]
            for key in keys:
                del self._ledger.rows[key]
            rows += len(keys)
        return rows

    def drop_facts(self, server: ServerId, limit: int) -> int:
        """See Removal.drop_facts."""
        return _drop(self.facts, server, limit)

    def drop_counts(self, server: ServerId, limit: int) -> int:
        """See Removal.drop_counts."""
        return _drop(self.counts, server, limit)

    def drop_directory(self, partition: str, limit: int) -> int:
        """See Removal.drop_directory."""
        found = self._registry.page(partition, "", limit=limit).records
        for record in found:
            self._registry.write([Change(record.place, None)])
        return len(found)

    def drop_calls(self, server: ServerId, webhook: str, limit: int) -> int:
        """See Removal.drop_calls."""
        return _drop(self.calls, (server, webhook), limit)


def _drop(rows: dict[K, int], key: K, limit: int) -> int:
    dropped = min(limit, rows.get(key, 0))
    if dropped:
        rows[key] -= dropped
    return dropped
