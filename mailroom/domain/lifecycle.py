"""The states of a delivery and the moves between them."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where one message stands with one recipient. Values are stored; never rename them."""

    SCHEDULED = "scheduled"  # accepted, not to be sent before `due_at`
    QUEUED = "queued"  # accepted, waiting for its first claim; not before `due_at` if that is set
    ATTEMPTING = "attempting"  # claimed by one egress process
    DEFERRED = "deferred"  # not now: will be tried again at `due_at`
    SENT = "sent"
    BOUNCED = "bounced"
    EXPIRED = "expired"  # too old to try again
    UNCERTAIN = "uncertain"  # given up without knowing whether the receiver took it
    HELD = "held"  # waits for a person; `due_at` is when the hold expires
    CANCELLED = "cancelled"  # given up by a person, or held until the hold expired
    SUPPRESSED = "suppressed"  # never sent: its recipient gets no mail any more


CLAIMABLE = frozenset({State.SCHEDULED, State.QUEUED, State.DEFERRED})
UNCOMMITTED = frozenset({State.SCHEDULED, State.QUEUED})  # how deliveries begin
FINAL = frozenset(
    {
        State.SENT,
        State.BOUNCED,
        State.EXPIRED,
        State.UNCERTAIN,
        State.CANCELLED,
        State.SUPPRESSED,
    }
)
# A person may have these sent once more; nobody else moves them to `queued`.
REDELIVERABLE = FINAL - {State.SENT}

_GIVEN_UP = frozenset({State.EXPIRED, State.HELD, State.CANCELLED, State.SUPPRESSED})
# Missing pairs are not moves. A released claim goes back to where it came from.
MOVES: Mapping[State, frozenset[State]] = {
    State.SCHEDULED: _GIVEN_UP | {State.ATTEMPTING, State.QUEUED, State.SCHEDULED},
    State.QUEUED: _GIVEN_UP | {State.ATTEMPTING},
    State.DEFERRED: _GIVEN_UP | {State.ATTEMPTING, State.DEFERRED},
    State.ATTEMPTING: frozenset(State) - {State.ATTEMPTING, State.CANCELLED, State.SCHEDULED},
    State.HELD: frozenset({State.QUEUED, State.CANCELLED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.SENT: frozenset({State.BOUNCED}),  # a later DSN
    State.BOUNCED: frozenset({State.QUEUED}),
    State.EXPIRED: frozenset({State.QUEUED}),
    State.UNCERTAIN: frozenset({State.SENT, State.BOUNCED, State.QUEUED}),  # a later DSN
    State.SUPPRESSED: frozenset({State.QUEUED}),
}


def may_move(current: State, proposed: State) -> bool:
    """Say whether a delivery may go from `current` to `proposed`."""
    return proposed in MOVES[current]
