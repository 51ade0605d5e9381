"""Publish the facts that table changes carry.

The event of a delivery rides in the delivery's own item (the outbox), so that no crash can keep
one and lose the other; what the stream shows is what gets out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mailroom.domain.server_fact import Fact
from mailroom.ports import Facts


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a table item: the fact it had before and the one it has now."""

    before: Fact | None
    after: Fact | None


def publish(changes: Iterable[Change], facts: Facts) -> int:
    """Publish each new fact, in order, and return how many there were.

    Raises HandOverError if any could not be published. Publishing again is harmless: consumers
    know a fact by its id.
    """
    new = [c.after for c in changes if c.after is not None and c.after != c.before]
    if new:
        facts.publish(new)
    return len(new)
