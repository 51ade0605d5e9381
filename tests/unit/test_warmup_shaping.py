"""Warm-up plans of an installation are part of its shaping document."""

import pytest

from mailroom.domain.shaping.loading import MAX_PLANS, load, problems_of
from mailroom.domain.warmup.plan import SENDGRID, load_plan, plan_named

MINE = {"days": [10, 20], "groups": {"gmail": {"start": 5, "factor": 2, "days": 3}}}


def test_plans_of_a_document_are_found_by_name_beside_the_built_in_ones() -> None:
    shaping = load({"plans": {"mine": MINE}, "providers": {"gmail": {"warmup": "mine"}}})
    assert plan_named("mine", shaping.plans) == load_plan("mine", MINE)
    assert plan_named("sendgrid", shaping.plans) is SENDGRID
    assert load({}).plans == {}


@pytest.mark.parametrize(
    ("plans", "problem"),
    [
        ([], "plans: an object"),
        ({"a b": MINE}, "plans: 'a b' is no name for one of them"),
        ({"sendgrid": MINE}, "plans: 'sendgrid' is no name for one of them"),
        ({"mine": {"days": [0]}}, "plans.mine: warm-up plan mine, day 1: a cap is a whole number"),
        ({f"p{n}": MINE for n in range(MAX_PLANS + 1)}, "plans: 51 of them; at most 50"),
    ],
)
def test_what_is_wrong_with_them_is_said(plans: object, problem: str) -> None:
    (said,) = problems_of({"plans": plans})
    assert said.startswith(problem)
