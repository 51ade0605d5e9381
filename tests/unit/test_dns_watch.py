"""From check to check: nothing is announced twice, on a whim or without a change."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.dns.records import Need, Purpose
from mailroom.domain.dns.state import Check, State
from mailroom.domain.dns.watch import (
    CONFIRM_SECONDS,
    DOUBT_SECONDS,
    HOUR,
    MINUTE,
    TROUBLE_SECONDS,
    News,
    Standings,
    Watched,
    advance,
    next_check,
    state_of,
    total_of,
)

OK, MISSING, INVALID, UNKNOWN = State.OK, State.MISSING, State.INVALID, State.UNKNOWN
NEEDS = {
    Purpose.OWNERSHIP: Need.REQUIRED,
    Purpose.DKIM: Need.REQUIRED,
    Purpose.SPF: Need.REQUIRED,
    Purpose.RETURN_PATH: Need.RECOMMENDED,
    Purpose.DMARC: Need.RECOMMENDED,
}


def checks(state: State = OK, **others: State) -> list[Check]:
    return [
        Check(purpose, purpose, "example.com", need, others.get(purpose, state), "A reason.")
        for purpose, need in NEEDS.items()
    ]


class Watch:
    """A domain checked again and again."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.kept = Watched({}, announced=False)

    def see(self, state: State = OK, *, after: float = HOUR, **others: State) -> News | None:
        self.now += after
        kept = self.kept
        self.kept = advance(
            kept.standings, checks(state, **others), self.now, announced=kept.announced
        )
        return self.kept.news

    @property
    def total(self) -> State:
        return total_of(self.kept.standings)


def test_a_domain_on_its_way_makes_no_news() -> None:
    watch = Watch()
    assert [watch.see(MISSING), watch.see(MISSING, dkim=OK), watch.see(MISSING)] == [None] * 3
    assert watch.see(OK) is None
    assert watch.total is OK


def test_a_failure_is_announced_once_when_a_second_look_agrees() -> None:
    watch = Watch()
    watch.see(OK)
    assert watch.see(dkim=MISSING) is None
    assert watch.total is OK
    assert watch.see(dkim=MISSING) is News.FAILED
    assert watch.total is MISSING
    assert [(c.key, c.before, c.after) for c in watch.kept.changes] == [("dkim", OK, MISSING)]
    assert [watch.see(dkim=MISSING) for _ in range(5)] == [None] * 5


def test_two_looks_in_a_row_are_one() -> None:
    watch = Watch()
    watch.see(OK)
    watch.see(dkim=MISSING)
    assert watch.see(dkim=MISSING, after=CONFIRM_SECONDS / 2) is None
    assert watch.see(dkim=INVALID, after=CONFIRM_SECONDS / 2) is News.FAILED


def test_a_record_that_comes_back_was_never_away() -> None:
    watch = Watch()
    watch.see(OK)
    watch.see(dkim=MISSING)
    assert watch.see(OK) is None
    assert watch.see(dkim=MISSING) is None
    assert watch.kept.changes == ()


def test_a_dns_that_does_not_answer_changes_nothing() -> None:
    watch = Watch()
    watch.see(OK)
    before = watch.kept.standings
    assert [watch.see(UNKNOWN) for _ in range(5)] == [None] * 5
    assert watch.kept.standings == before
    watch.see(dkim=MISSING)
    assert watch.see(UNKNOWN) is None
    assert watch.see(dkim=MISSING) is News.FAILED  # silence between two looks does not part them


def test_recovery_is_announced_when_all_is_right_again() -> None:
    watch = Watch()
    watch.see(OK)
    for _ in range(2):
        watch.see(dkim=MISSING, spf=INVALID)
    assert watch.see(spf=INVALID) is None
    assert watch.see(OK) is News.RECOVERED
    assert watch.see(OK) is None
    assert watch.kept.announced is False


def test_another_failure_on_top_is_news() -> None:
    watch = Watch()
    watch.see(OK)
    for _ in range(2):
        watch.see(dkim=MISSING)
    watch.see(dkim=MISSING, spf=MISSING)
    assert watch.see(dkim=MISSING, spf=MISSING) is News.FAILED
    assert watch.see(dkim=INVALID, spf=MISSING) is None  # failing in another way is not


def test_what_does_no_harm_is_a_change_without_news() -> None:
    watch = Watch()
    watch.see(OK)
    watch.see(dmarc=MISSING, return_path=MISSING)
    assert watch.see(dmarc=MISSING, return_path=MISSING) is None
    assert {change.key for change in watch.kept.changes} == {"dmarc", "return_path"}
    assert watch.total is OK
    assert state_of(watch.kept.standings, Purpose.RETURN_PATH) is MISSING


def test_a_return_path_that_leads_elsewhere_is_news() -> None:
    watch = Watch()
    watch.see(OK)
    watch.see(return_path=INVALID)
    assert watch.see(return_path=INVALID) is News.FAILED


def test_a_first_check_without_answer_is_filled_in_by_the_next() -> None:
    watch = Watch()
    watch.see(UNKNOWN)
    assert watch.total is UNKNOWN
    assert watch.see(OK) is None
    assert watch.kept.changes == ()
    assert watch.total is OK


def test_records_nobody_expects_any_more_are_forgotten() -> None:
    watch = Watch()
    watch.see(OK)
    kept = [check for check in checks() if check.purpose is not Purpose.DKIM]
    after = advance(watch.kept.standings, kept, watch.now + HOUR, announced=False)
    assert Purpose.DKIM not in after.standings
    assert after.news is None


def test_a_key_that_begins_to_sign_begins_to_count() -> None:
    *others, dkim = sorted(checks(dkim=MISSING), key=lambda check: check.purpose is Purpose.DKIM)
    pending = [*others, replace(dkim, need=Need.RECOMMENDED)]
    first = advance({}, pending, 0.0, announced=False)
    assert total_of(first.standings) is OK
    second = advance(first.standings, checks(dkim=MISSING), HOUR, announced=False)
    assert total_of(second.standings) is MISSING


def test_an_unknown_purpose_has_no_standing() -> None:
    assert state_of({}, Purpose.MX) is UNKNOWN


STATES = st.sampled_from(list(State))


@given(st.lists(st.tuples(STATES, STATES, STATES, st.floats(1, 7 * HOUR)), max_size=30))
@settings(max_examples=200)
def test_news_of_failure_and_recovery_take_turns_over_any_history(
    history: list[tuple[State, State, State, float]],
) -> None:
    watch = Watch()
    failed = False
    for dkim, spf, path, after in history:
        before = watch.kept.standings
        news = watch.see(OK, dkim=dkim, spf=spf, return_path=path, after=after)
        if news is News.FAILED:
            assert watch.total in (MISSING, INVALID)
            failed = True
        if news is News.RECOVERED:
            assert failed
            assert watch.total is OK
            failed = False
        if UNKNOWN in (dkim, spf, path) and before:
            for key, state in (("dkim", dkim), ("spf", spf)):
                if state is UNKNOWN:
                    assert watch.kept.standings[key].state is before[key].state
        assert watch.kept.announced is failed


def standings(state: State, now: float, still: float) -> Standings:
    return advance({}, checks(state), now - still, announced=False).standings


DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("state", "still", "wait"),
    [
        (MISSING, 0, 5 * MINUTE),
        (MISSING, 10 * MINUTE, 5 * MINUTE),
        (MISSING, 2 * HOUR, 30 * MINUTE),
        (MISSING, 3 * DAY, 6 * HOUR),
        (MISSING, 40 * DAY, DAY),
        (OK, 0, HOUR),
        (OK, 8 * HOUR, 2 * HOUR),
        (OK, 90 * DAY, 6 * HOUR),
        (UNKNOWN, 0, TROUBLE_SECONDS),
    ],
)
def test_looks_become_rarer_while_nothing_happens(state: State, still: float, wait: float) -> None:
    now = 1e9
    kept = standings(state, now, still)
    assert next_check(kept, checks(state), now, 0.5) == pytest.approx(now + wait)
    assert next_check(kept, checks(state), now, 0.0) == pytest.approx(now + 0.9 * wait)
    assert next_check(kept, checks(state), now, 0.999) < now + 1.1 * wait


def test_doubt_is_settled_soon() -> None:
    watch = Watch()
    watch.see(OK)
    watch.see(dkim=MISSING)
    soon = next_check(watch.kept.standings, checks(dkim=MISSING), watch.now, 0.0)
    assert CONFIRM_SECONDS < soon - watch.now <= DOUBT_SECONDS


def test_a_dns_in_trouble_is_asked_again_before_long() -> None:
    kept = standings(OK, 1e9, 90 * DAY)
    again = next_check(kept, checks(OK, spf=UNKNOWN), 1e9, 0.5)
    assert again == pytest.approx(1e9 + TROUBLE_SECONDS)
