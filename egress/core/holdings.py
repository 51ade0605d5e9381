"""The addresses of one process: what it may use, what it is about to give back, what it lost.

The synchronous half of the lease keeper. `now` is the host's clock, which never jumps; `wall` is
the time of day. A lease holds only while both say so: one stands still while a machine sleeps,
the other may be set.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum, auto

from mailroom.domain.sending.lease import FENCE_SECONDS, LEASE_SECONDS, Lease, may_send
from mailroom.domain.sending.source import AddressState, SourceAddress

_RESTING = frozenset({AddressState.DRAINING, AddressState.DISABLED})


class Phase(Enum):
    """How far an address is with us."""

    PREPARING = auto()  # it is ours, and must not be used yet
    USABLE = auto()
    LEAVING = auto()  # no new work; given back when its sessions have ended
    ENDED = auto()  # its sessions have ended
    FENCED = auto()  # not renewed in time; ours again if nobody else was faster


@dataclass(slots=True)
class Holding:
    """One address; `until` is when we stop using it, by the host's clock."""

    source: SourceAddress
    lease: Lease
    until: float
    phase: Phase = Phase.PREPARING
    usable_at: float | None = None  # the end of its quiet time
    leaving_since: float = 0.0


class Holdings:
    """All of them, and what is always there: the host's own address, which has no lease."""

    def __init__(self, own: SourceAddress | None = None) -> None:
        self._own = own
        self._held: dict[str, Holding] = {}
        self._usable: tuple[SourceAddress, ...] | None = None  # as last made, until it changes

    def fence(self, address: str, now: float, wall: float) -> int | None:
        """Return the fencing number of an address that may be used now, None for any other."""
        held = self._held.get(address)
        if held is None:
            return 0 if self._own is not None and self._own.id == address else None
        if held.phase is Phase.PREPARING or held.phase is Phase.FENCED:
            return None
        return held.lease.fence if now < held.until and may_send(held.lease, wall) else None

    def usable(self) -> tuple[SourceAddress, ...]:
        """Return the sources that new work may go to."""
        if self._usable is None:
            own = () if self._own is None else (self._own,)
            found = (held.source for held in self.all() if held.phase is Phase.USABLE)
            self._usable = (*own, *(each for each in found if each.state not in _RESTING))
        return self._usable

    def get(self, address: str) -> Holding | None:
        """Return what is known of an address that is leased to us."""
        return self._held.get(address)

    def all(self) -> tuple[Holding, ...]:
        """Return all leased addresses, in whatever phase."""
        return tuple(self._held.values())

    def took(self, source: SourceAddress, lease: Lease, began: float) -> Holding:
        """Note a lease that was asked for at `began`, by the host's clock."""
        held = Holding(source, lease, began + LEASE_SECONDS - FENCE_SECONDS)
        self._held[source.id] = held
        return held

    def renewed(self, held: Holding, lease: Lease, began: float) -> None:
        """Note a renewal that was begun at `began`; what was fenced ripens again."""
        held.lease, held.until = lease, began + LEASE_SECONDS - FENCE_SECONDS
        if held.phase is Phase.FENCED:
            held.phase = Phase.PREPARING

    def prepared(self, held: Holding, source: SourceAddress, usable_at: float) -> None:
        """Note that an address can be bound to; it is used when its quiet time is over."""
        held.source, held.usable_at = source, usable_at

    def unsettled(self, held: Holding) -> bool:
        """Note that an address is not here any more; True if its sessions have to be told."""
        was, held.usable_at = held.phase, None
        if was is Phase.USABLE:
            held.phase, self._usable = Phase.PREPARING, None
        return was is Phase.USABLE

    def ripe(self, now: float) -> Iterable[Holding]:
        """Make usable what has been quiet for long enough, and yield it."""
        for held in self.all():
            if held.phase is not Phase.PREPARING or held.usable_at is None:
                continue
            if held.usable_at <= now < held.until:
                held.phase, self._usable = Phase.USABLE, None
                yield held

    def overdue(self, now: float, wall: float) -> Iterable[Holding]:
        """Fence what was not renewed in time, and yield what was in use."""
        for held in self.all():
            if held.phase is Phase.FENCED or (now < held.until and may_send(held.lease, wall)):
                continue
            was, held.phase, self._usable = held.phase, Phase.FENCED, None
            if was is not Phase.PREPARING:
                yield held

    def leave(self, held: Holding, now: float) -> bool:
        """Begin to give an address back; True if its sessions have to be told."""
        was = held.phase
        if was in (Phase.LEAVING, Phase.ENDED):
            return False
        held.phase = Phase.LEAVING if was is Phase.USABLE else Phase.ENDED
        held.leaving_since, self._usable = now, None
        return was is Phase.USABLE

    def ended(self, address: str) -> bool:
        """Note that the sessions of a leaving address have ended; False for any other."""
        held = self._held.get(address)
        if held is None or held.phase is not Phase.LEAVING:
            return False
        held.phase = Phase.ENDED
        return True

    def stay(self, held: Holding) -> bool:
        """Keep an address that was about to go; True if its sessions have to be told."""
        if held.phase is not Phase.LEAVING:
            return False
        held.phase, self._usable = Phase.USABLE, None
        return True

    def learned(self, source: SourceAddress) -> Holding | None:
        """Note new facts of an address; return the holding if it is in use and they differ.

        Where it is bound to stays: that was settled when it was prepared.
        """
        held = self._held.get(source.id)
        if held is None:
            return None
        fresh = replace(source, private=held.source.private)
        if held.source == fresh:
            return None
        held.source, self._usable = fresh, None
        return held if held.phase is Phase.USABLE else None

    def drop(self, address: str) -> None:
        """Forget an address that is not ours any more."""
        self._held.pop(address, None)
        self._usable = None
