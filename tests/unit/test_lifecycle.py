"""The moves between states: the whole product of them."""

from itertools import product

import pytest

from mailroom.domain.lifecycle import (
    CLAIMABLE,
    FINAL,
    MOVES,
    REDELIVERABLE,
    UNCOMMITTED,
    State,
    may_move,
)

# Written out once more on purpose, by hand: a change of the table has to be meant.
ALLOWED = {
    "scheduled": "attempting queued scheduled expired held cancelled suppressed",
    "queued": "attempting expired held cancelled suppressed",
    "deferred": "attempting deferred expired held cancelled suppressed",
    "attempting": "queued deferred sent bounced expired uncertain held suppressed",
    "held": "queued cancelled",
    "cancelled": "queued",
    "sent": "bounced",
    "bounced": "queued",
    "expired": "queued",
    "uncertain": "sent bounced queued",
    "suppressed": "queued",
}


@pytest.mark.parametrize(("current", "proposed"), list(product(State, State)))
def test_every_pair_of_states(current: State, proposed: State) -> None:
    assert may_move(current, proposed) == (proposed in ALLOWED[current].split())


def test_every_state_has_its_row() -> None:
    assert set(MOVES) == set(State)


def test_a_state_is_claimable_final_or_in_work() -> None:
    assert set(State) == CLAIMABLE | FINAL | {State.ATTEMPTING, State.HELD}
    assert not CLAIMABLE & FINAL


@pytest.mark.parametrize("state", FINAL)
def test_what_is_final_begins_anew_only_by_way_of_the_queue(state: State) -> None:
    """Only a person's order does that (`intervention.redeliver`)."""
    again = MOVES[state] & (CLAIMABLE | {State.ATTEMPTING})
    assert again == ({State.QUEUED} if state in REDELIVERABLE else frozenset())


def test_what_was_taken_is_never_sent_again() -> None:
    assert State.SENT not in REDELIVERABLE


def test_a_delivery_begins_claimable() -> None:
    assert UNCOMMITTED < CLAIMABLE


def test_from_everywhere_that_is_not_final_an_end_can_be_reached() -> None:
    for state in set(State) - FINAL:
        assert MOVES[state] & (FINAL | {State.ATTEMPTING})


def test_a_hold_lasts_until_somebody_ends_it() -> None:
    assert State.HELD not in CLAIMABLE
    assert State.ATTEMPTING not in MOVES[State.HELD]
