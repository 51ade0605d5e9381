"""The moves between states: the whole product of them."""

from itertools import product

import pytest

from mailroom.domain.lifecycle import CLAIMABLE, FINAL, MOVES, State, may_move

# Written out once more on purpose, by hand: a change of the table has to be meant.
ALLOWED = {
    "queued": "attempting expired held",
    "deferred": "attempting expired held",
    "attempting": "queued deferred sent bounced expired uncertain held",
    "held": "queued cancelled",
    "cancelled": "",
    "sent": "bounced",
    "bounced": "",
    "expired": "",
    "uncertain": "sent bounced",
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
def test_nothing_final_is_ever_attempted_again(state: State) -> None:
    assert not MOVES[state] & (CLAIMABLE | {State.ATTEMPTING})


def test_from_everywhere_that_is_not_final_an_end_can_be_reached() -> None:
    for state in set(State) - FINAL:
        assert MOVES[state] & (FINAL | {State.ATTEMPTING})


def test_a_hold_lasts_until_somebody_ends_it() -> None:
    assert State.HELD not in CLAIMABLE
    assert State.ATTEMPTING not in MOVES[State.HELD]
