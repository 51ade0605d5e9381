"""Circles that may not become empty: an organisation's owners, the platform's administrators.

One row has the ids of those in a circle. Whoever joins or leaves writes it in the same step as
what makes them do so, so that two who leave at the same moment cannot both be the second to last.
"""

from collections.abc import Callable
from typing import TypeVar

from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.errors import LastOneError, RevisionError, TooManyError
from mailroom.ports.registry import ConflictError, Registry

ADMINISTRATORS = Place("platform", "administrators")
MOST = 100
_TRIES = 5
T = TypeVar("T")


def owners_of(organisation: str) -> Place:
    """Return the place of the circle of an organisation's owners."""
    return Place(f"organisation#{organisation}", "owners")


def circle(place: Place, registry: Registry) -> frozenset[str]:
    """Return the ids of those in a circle."""
    record = registry.read(place)
    return frozenset(record.body["ids"]) if record else frozenset()


def moved(
    place: Place, id_: str, registry: Registry, *, inside: bool, may_be_empty: bool = False
) -> list[Change]:
    """Return the changes after which `id_` is in the circle, or is not.

    Raises LastOneError when nobody would be left and that may not be, TooManyError when the
    circle is full.
    """
    record = registry.read(place)
    ids = set(record.body["ids"]) if record else set()
    if (id_ in ids) == inside:
        return []
    if inside and len(ids) >= MOST:
        raise TooManyError(f"there are {MOST} of these already")
    left = ids | {id_} if inside else ids - {id_}
    if not left and not may_be_empty:
        raise LastOneError("somebody has to stay: put another in this place first")
    revision = record.revision if record else 0
    return [Change.put(Record(place, {"ids": sorted(left)}), revision)]


def repeated(act: Callable[[], T]) -> T:
    """Do what reads a circle and writes it, again if another was faster.

    Raises RevisionError when others always are.
    """
    for _ in range(_TRIES):
        try:
            return act()
        except ConflictError:
            continue
    raise RevisionError("others change this at the same moment: ask again")
