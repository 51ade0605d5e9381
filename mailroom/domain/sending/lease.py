"""Who may send from an address: leases, and how addresses are shared out over hosts.

One process at a time owns an address, so that limits of an address are a matter of its memory.
Each change of the owner raises the fencing number. The owner stops by itself well before others
may take the lease, so that a frozen or cut-off process does no harm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEASE_SECONDS = 60.0  # how long a lease lasts from the moment its renewal was begun
FENCE_SECONDS = 30.0  # with less than this left the owner does not use it any more
BEAT_SECONDS = 10.0  # how often leases are renewed and heartbeats written
ALIVE_SECONDS = 60.0  # how long a process counts as alive after its heartbeat
# How much the clocks of two hosts may differ for a lease that is over by the clock to be taken at
# once; beside this, FENCE_SECONDS are between the owner's end and that of the lease.
SKEW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Who owns an address. Times are Unix seconds by the owner's clock; "" owns nothing.

    `revision` is that of its row and grows with each renewal; `fence` grows with each new owner.
    """

    address: str
    owner: str
    fence: int
    expires_at: float
    revision: int = 0


@dataclass(frozen=True, slots=True)
class HostBeat:
    """A process that sends, as its last heartbeat tells. Times are Unix seconds.

    `id` is new at each start, `name` is the host's. `addresses` are those it owns. `reach` are the
    ids of those it can bind to, None for any; it takes at most `most`, 0 is without limit.
    """

    id: str
    name: str
    started_at: float
    beat_at: float
    draining: bool = False
    addresses: tuple[str, ...] = ()
    version: str = ""
    reach: frozenset[str] | None = None
    most: int = 0


def may_send(lease: Lease, now: float) -> bool:
    """Say whether the owner may still use an address: asked before every MAIL FROM.

    `now` is by the clock that `expires_at` was made with.
    """
    return bool(lease.owner) and now < lease.expires_at - FENCE_SECONDS


def is_free(lease: Lease, now: float, unchanged: float) -> bool:
    """Say whether another process may take a lease.

    It was given back; or it was not renewed for LEASE_SECONDS, as seen by the clock of who asks
    (`unchanged` is for how long it has looked at the same revision), whatever time the owner
    thinks it is; or it is over for so long that no clock is that wrong.
    """
    return not lease.owner or unchanged >= LEASE_SECONDS or lease.expires_at + SKEW_SECONDS <= now


def dump_lease(lease: Lease) -> dict[str, Any]:
    """Return a lease as the body of its row."""
    return {"owner": lease.owner, "fence": lease.fence, "expires_at": lease.expires_at}


def load_lease(address: str, body: Mapping[str, Any], revision: int) -> Lease:
    """Read what `dump_lease` wrote."""
    return Lease(
        address=address,
        owner=body.get("owner", ""),
        fence=int(body.get("fence", 0)),
        expires_at=float(body.get("expires_at", 0.0)),
        revision=revision,
    )


def dump_beat(beat: HostBeat) -> dict[str, Any]:
    """Return a heartbeat as the body of its row."""
    body: dict[str, Any] = {
        "name": beat.name,
        "started_at": beat.started_at,
        "beat_at": beat.beat_at,
        "draining": beat.draining,
        "addresses": list(beat.addresses),
        "version": beat.version,
        "most": beat.most,
    }
    return body if beat.reach is None else {**body, "reach": sorted(beat.reach)}


def load_beat(id_: str, body: Mapping[str, Any]) -> HostBeat:
    """Read what `dump_beat` wrote; what is not there has its default."""
    reach = body.get("reach")
    return HostBeat(
        id=id_,
        name=body.get("name", id_),
        started_at=float(body.get("started_at", 0.0)),
        beat_at=float(body.get("beat_at", 0.0)),
        draining=bool(body.get("draining")),
        addresses=tuple(body.get("addresses", ())),
        version=body.get("version", ""),
        reach=None if reach is None else frozenset(reach),
        most=int(body.get("most", 0)),
    )
