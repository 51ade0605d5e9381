"""How far an address is with a group: a day further, held, back, and warm."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.warmup.plan import SENDGRID
from mailroom.domain.warmup.progress import (
    MOST_NOTES,
    Caps,
    DayFacts,
    Progress,
    WarmState,
    advance,
    begin,
    day_text,
    dump_facts,
    dump_progress,
    load_facts,
    load_progress,
    replan,
    utc_day,
)

STEPS = (50, 70, 100, 140, 200, 1_000)
GOOD = DayFacts(attempted=1_100, accepted=1_000)


def at(index: int, **others: object) -> Progress:
    progress = replace(begin("mine", STEPS, 100), day_index=index)
    return replace(progress, **others)  # type: ignore[arg-type]  # of a table


@pytest.mark.parametrize(
    ("facts", "index", "reason"),
    [
        (DayFacts(110, 100), 3, "advanced: used 100 of 100 (100%) without trouble"),
        (DayFacts(80, 70), 3, "advanced: used 70 of 100 (70%) without trouble"),
        (DayFacts(80, 69), 2, "held: used 69 of 100 (69%), 70% is needed"),
        (DayFacts(100, 95, deferred=4), 3, "advanced: used 95"),
        (DayFacts(100, 95, deferred=5), 2, "held: 5.0% of 100 attempts were deferred"),
        (DayFacts(100, 95, bounced=2), 3, "advanced"),
        (DayFacts(100, 95, bounced=3), 2, "held: 3.0% of 100 attempts bounced"),
        (DayFacts(100, 95, complained=1), 2, "held: 1.05% of 95 accepted"),
        (DayFacts(100, 95, held=1), 2, "held: a reply asked us"),
        (DayFacts(100, 95, suspended=1), 0, "2 days back: the address was suspended"),
        (DayFacts(0, 0, suspended=1), 0, "2 days back: the address was suspended"),
    ],
)
def test_what_a_day_was_like_decides_about_the_next(
    facts: DayFacts, index: int, reason: str
) -> None:
    after, said = advance(at(2), facts)
    assert (after.day_index, after.day, after.used_on) == (index, 101, 100)
    assert said.startswith(reason)
    assert after.reason == said


def test_complaints_below_one_in_a_thousand_do_not_hold() -> None:
    facts = DayFacts(1_000_000, 1_000_001, complained=1_000)
    assert advance(at(2), facts)[0].day_index == 3


def test_nobody_goes_back_before_the_first_day() -> None:
    after, said = advance(at(1), DayFacts(10, 10, suspended=3))
    assert (after.day_index, said[:11]) == (0, "1 days back")


def test_after_its_last_day_a_group_is_warm_and_stays_so() -> None:
    after, said = advance(at(5), GOOD)
    assert (after.state, after.cap, after.caps, after.connections) == (
        *(WarmState.WARM, None, None, None),
    )
    assert said.startswith("warm: advanced")
    later, _ = advance(after, DayFacts(5, 0, suspended=2, bounced=5))
    assert (later.state, later.day, later.notes) == (WarmState.WARM, 102, after.notes)


def test_thirty_days_without_mail_make_it_a_quarter() -> None:
    progress, reasons = at(4, used_on=99), []
    for _ in range(31):
        progress, reason = advance(progress, DayFacts())
        reasons.append(reason)
    assert reasons[0] == "held: no mail for 1 days"
    assert reasons[28] == "held: no mail for 29 days"
    assert reasons[29] == "started again at a quarter: no mail for 30 days"
    assert (progress.day_index, progress.cap) == (0, 50)  # 25 % of 200: the last day up to 50
    assert len(progress.notes) == 4  # begun, no mail, again, no mail


def test_a_warm_group_without_mail_is_warmed_again() -> None:
    progress = at(5, state=WarmState.WARM, used_on=99)
    for _ in range(30):
        progress, _ = advance(progress, DayFacts())
    assert (progress.state, progress.cap) == (WarmState.WARMING, 200)
    assert advance(progress, DayFacts(200, 200))[0].cap == 1_000


def test_the_first_week_of_a_plan_has_two_connections() -> None:
    steps = SENDGRID.steps
    allowed = [replace(begin("x", steps, 1), day_index=day).connections for day in range(9)]
    assert allowed == [2] * 7 + [None] * 2


@pytest.mark.parametrize(
    ("index", "steps", "expected"),
    [(2, (60, 90, 120), 1), (0, (60, 90), 0), (5, (10, 20), 1), (2, (100, 100, 100), 2)],
)
def test_another_plan_begins_where_its_cap_is_no_higher(
    index: int, steps: tuple[int, ...], expected: int
) -> None:
    after = replan(at(index), "new", steps, 105)
    assert (after.plan, after.steps, after.day_index, after.day) == ("new", steps, expected, 100)
    assert after.reason.startswith("plan new instead of mine")


def test_caps_of_a_day() -> None:
    assert at(0).caps == Caps(50, 5, 65, 6)
    assert at(5).caps == Caps(1_000, 100, 1_300, 130)


_FACTS = st.builds(
    DayFacts,
    *(st.integers(0, 2_000) for _ in range(2)),
    *(st.integers(0, 3) for _ in range(5)),
)


@given(st.lists(_FACTS | st.just(DayFacts()), max_size=120))
def test_no_history_leads_out_of_the_plan_or_makes_two_days_of_one(days: list[DayFacts]) -> None:
    progress = begin("mine", STEPS, 100)
    for facts in days:
        before = progress
        progress, reason = advance(before, facts)
        assert reason
        assert progress.day == before.day + 1
        assert 0 <= progress.day_index < len(STEPS)
        assert progress.day_index <= before.day_index + 1
        assert len(progress.notes) <= MOST_NOTES
        assert load_progress(dump_progress(progress)) == progress
        assert load_facts(dump_facts(facts)) == facts


def test_rows_of_before_a_field_existed_are_read() -> None:
    body = {"plan": "x", "steps": [1], "index": 0, "day": 9, "started": 9, "used": 8}
    assert load_progress(body).state is WarmState.WARMING
    assert load_facts({}) == DayFacts()


def test_days_are_utc() -> None:
    assert utc_day(86_399.9) == 0
    assert day_text(utc_day(4_000_000_000)) == "2096-10-02"
