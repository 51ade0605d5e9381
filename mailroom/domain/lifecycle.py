"""The states of a delivery and the moves between them."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where one message stands with one recipient. Values are stored; never rename them."""

    QUEUED = "queued"  # accepted, waiting for its first claim
    ATTEMPTING = "attempting"  # claimed by one egress process
    DEFERRED = "deferred"  # not now: will be tried again at `due_at`
    SENT = "sent"
    BOUNCED = "bounced"
    EXPIRED = "expired"  # too old to try again
    UNCERTAIN = "uncertain"  # given up without knowing whether the receiver took it
    HELD = "held"  # waits for a person; `due_at` is when the hold expires
    CANCELLED = "cancelled"  # held, then given up by a person or by the hold's expiry


CLAIMABLE = frozenset({State.QUEUED, State.DEFERRED})
FINAL = frozenset({State.SENT, State.BOUNCED, State.EXPIRED, State.UNCERTAIN, State.CANCELLED})

# Missing pairs are not moves. A released claim goes back to where it came from.
MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.ATTEMPTING, State.EXPIRED, State.HELD}),
    State.DEFERRED: frozenset({State.ATTEMPTING, State.EXPIRED, State.HELD}),
    State.ATTEMPTING: frozenset(State) - {State.ATTEMPTING, State.CANCELLED},
    State.HELD: frozenset({State.QUEUED, State.CANCELLED}),
    State.CANCELLED: frozenset(),
    State.SENT: frozenset({State.BOUNCED}),  # a later DSN
    State.BOUNCED: frozenset(),
    State.EXPIRED: frozenset(),
    State.UNCERTAIN: frozenset({State.SENT, State.BOUNCED}),  # a later DSN
}


def may_move(current: State, proposed: State) -> bool:
    """Say whether a delivery may go from `current` to `proposed`."""
    return proposed in MOVES[current]
