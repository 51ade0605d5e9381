"""Publish the events that table changes carry.

The event rides in the delivery's own item (the outbox), so that no crash can keep one and lose
the other; what the stream shows is what gets out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from mailroom.domain.event import Event
from mailroom.ports import Facts


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a table item: the event it had before and the one it has now."""

    before: Event | None
    after: Event | None


def publish(changes: Iterable[Change], facts: Facts) -> int:
    """Publish each new event, in order, and return how many there were.

    Raises HandOverError if any could not be published. Publishing again is harmless: consumers
    know an event by its id.
    """
    events = [c.after for c in changes if c.after is not None and c.after != c.before]
    if events:
        facts.publish(events)
    return len(events)
