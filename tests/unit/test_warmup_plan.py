"""Warm-up plans: the built-in ones, and those that somebody writes down."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.provider import PROVIDERS
from mailroom.domain.warmup.plan import (
    BUILT_IN,
    GENTLE,
    GROUPS,
    MOST_A_DAY,
    MOST_DAYS,
    SENDGRID,
    PlanError,
    group_of,
    hour_cap,
    load_plan,
    plan_named,
    slice_size,
    tries_cap,
)


def test_the_built_in_plans_begin_with_fifty_a_day() -> None:
    assert SENDGRID.of("gmail")[:13] == (
        *(50, 70, 97, 137, 192, 270, 377, 527, 737, 1_032, 1_447, 2_025, 2_500),
    )
    assert (len(SENDGRID.steps), SENDGRID.steps[-1]) == (31, 1_210_072)
    assert GENTLE.of("other")[:6] == (50, 60, 72, 86, 104, 124)
    assert (len(GENTLE.steps), GENTLE.steps[-1]) == (42, 88_186)


@pytest.mark.parametrize("plan", BUILT_IN.values(), ids=lambda plan: plan.name)
def test_a_built_in_plan_never_doubles_in_a_day_and_could_be_written_down(plan: Any) -> None:
    steps = plan.steps
    assert all(before < after < 2 * before for before, after in itertools.pairwise(steps))
    assert load_plan(plan.name, {"days": list(steps)}) == plan


def test_the_tables_in_the_documentation_are_the_plans() -> None:
    text = (Path(__file__).parents[2] / "docs/warm-up.md").read_text()
    rows = [f"| {day} | {cap:,} | {slow:,} |" for day, (cap, slow) in enumerate(
        zip(SENDGRID.steps, GENTLE.steps, strict=False), start=1
    )]  # fmt: skip
    rows += [f"| {day} | | {GENTLE.steps[day - 1]:,} |" for day in range(32, 43)]
    assert [row for row in rows if row not in text] == []


def test_providers_without_a_group_of_their_own_share_one() -> None:
    assert {group_of(provider) for provider in PROVIDERS} < set(GROUPS)
    assert group_of("microsoft365") == "microsoft365"
    assert group_of("seznam") == group_of("") == "other"


def test_a_group_may_have_days_of_its_own() -> None:
    plan = load_plan(
        "mine", {"days": [10, 20], "groups": {"gmail": {"start": 20, "factor": 1.5, "days": 4}}}
    )
    assert plan.of("yahoo") == (10, 20)
    assert plan.of("gmail") == (20, 30, 45, 68)


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        ([], "an object with `days`"),
        ({}, "`days` is a list"),
        ({"days": "50"}, "`days` is a list"),
        ({"days": 5}, "`days` is a list"),
        ({"days": []}, "1 to 120 days, not 0"),
        ({"days": [1] * 121}, "1 to 120 days, not 121"),
        ({"days": [50, 0]}, "day 2: a cap is a whole number"),
        ({"days": [True]}, "day 1: a cap is a whole number"),
        ({"days": [50, 70.5]}, "day 2: a cap is a whole number"),
        ({"days": [50, MOST_A_DAY + 1]}, "day 2: a cap is a whole number"),
        ({"days": [50, 49]}, "day 2: a cap is never below"),
        ({"days": [50, 151]}, "day 2: more than 3 times"),
        ({"days": [50], "limit": 3}, "'limit' is not known"),
        ({"days": 3, "start": 0, "factor": 2}, "`start`"),
        ({"days": 3, "start": 1, "factor": float("nan")}, "`factor`"),
        ({"days": 3, "start": 1, "factor": 4}, "`factor`"),
        ({"days": 3, "start": 1}, "`factor`"),
        ({"days": [3], "start": 1, "factor": 2}, "`days` is a whole number"),
        ({"days": MOST_DAYS + 1, "start": 1, "factor": 2}, "`days` is a whole number"),
        ({"days": [50], "groups": []}, "`groups` is an object"),
        ({"days": [50], "groups": {"seznam": {"days": [1]}}}, "no group 'seznam'"),
        ({"days": [50], "groups": {"gmail": [1]}}, "mine, gmail: it is an object"),
        ({"days": [50], "groups": {"gmail": {"days": [0]}}}, "mine, gmail, day 1"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(stored: Any, problem: str) -> None:
    with pytest.raises(PlanError) as refused:
        load_plan("mine", stored)
    assert problem in str(refused.value)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_plan_has_a_name(name: str) -> None:
    with pytest.raises(PlanError):
        load_plan(name, {"days": [1]})


_KEYS = st.sampled_from(["days", "start", "factor", "groups", "gmail", "x"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
)


@given(_JSON)
def test_whatever_is_written_is_a_plan_or_refused(stored: Any) -> None:
    try:
        plan = load_plan("mine", stored)
    except PlanError:
        return
    for group in GROUPS:
        assert all(1 <= cap <= MOST_A_DAY for cap in plan.of(group))


@given(st.integers(1, MOST_A_DAY))
def test_parts_of_a_cap_are_never_more_than_it(cap: int) -> None:
    assert 1 <= slice_size(cap) <= hour_cap(cap) <= cap <= tries_cap(cap) <= cap * 1.3
    assert hour_cap(cap) in {1, cap // 10}


def test_a_name_that_nobody_knows_means_the_gentle_plan() -> None:
    own = load_plan("mine", {"days": [5]})
    assert plan_named("mine", {"mine": own}) is own
    assert plan_named("sendgrid") is SENDGRID
    assert plan_named("gone", {"mine": own}) is GENTLE
