import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localstack.simulator.behaviours import (
    MAX_SLOW_SECONDS,
    TABLE,
    Act,
    behaviour,
    final_step,
    recipient_step,
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_each_row_is_found_by_its_name_whatever_the_tag_and_the_case(row):
    assert behaviour(f"{row.name}@sim.test") == row
    assert behaviour(f"{row.name.upper()}+run-1.x@sim.test") == row


@pytest.mark.parametrize(
    "address", ["anyone@sim.test", "acceptance@sim.test", "", "@", "+", "a@b@c"]
)
def test_what_is_not_in_the_table_accepts(address):
    assert behaviour(address).act is Act.ACCEPT


@pytest.mark.parametrize(
    ("address", "seconds"),
    [
        ("slow@sim.test", 3),
        ("slow+7s@sim.test", 7),
        ("slow+7s-abc@sim.test", 7),
        ("slow+0s.x@sim.test", 0),
        ("slow+7seconds@sim.test", 3),
        ("slow+s@sim.test", 3),
        ("slow+31s@sim.test", MAX_SLOW_SECONDS),
        ("slow+999999s@sim.test", MAX_SLOW_SECONDS),
    ],
)
def test_a_slow_address_may_say_how_slow(address, seconds):
    assert behaviour(address).seconds == seconds


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("accept", "250 2.1.5"),
        ("hard-bounce", "550 5.1.1"),
        ("soft-bounce", "552 5.2.2"),
        ("blocked", "550 5.7.1"),
        ("defer", "451 4.3.0"),
        ("greylist", "451 4.7.1"),
        ("ratelimit", "421 4.7.0"),
        ("disconnect", ""),
        ("reject-data", "250 2.1.5"),
        ("drop-after-dot", "250 2.1.5"),
        ("slow", "250 2.1.5"),
    ],
)
def test_the_recipient_gets_the_reply_its_name_implies(name, reply):
    step = recipient_step(behaviour(f"{name}@sim.test"), seen_before=False)

    assert step.reply[:9] == reply
    assert step.close == (name in {"ratelimit", "disconnect"})


def test_greylisting_lets_a_known_address_pass():
    assert recipient_step(behaviour("greylist@sim.test"), seen_before=True).reply.startswith("250")


def test_a_deferring_address_never_passes():
    assert recipient_step(behaviour("defer@sim.test"), seen_before=True).reply.startswith("451")


@pytest.mark.parametrize(
    ("name", "stored_before", "reply", "store", "close", "seconds"),
    [
        ("accept", False, "250 2.0.0", True, False, 0),
        ("greylist", False, "250 2.0.0", True, False, 0),
        ("slow+9s", False, "250 2.0.0", True, False, 9),
        ("reject-data", False, "554 5.7.1", False, False, 0),
        ("defer-data", False, "451 4.3.0", False, False, 0),
        ("drop-after-dot", False, "", True, True, 0),
        ("drop-after-dot", True, "250 2.0.0", True, False, 0),
    ],
)
def test_the_final_dot_gets_what_the_recipient_implies(
    name, stored_before, reply, store, close, seconds
):
    step = final_step([behaviour(f"{name}@sim.test")], stored_before=stored_before)

    assert (step.reply[:9], step.store, step.close, step.seconds) == (reply, store, close, seconds)


def test_of_several_recipients_the_strictest_decides_whatever_their_order():
    rows = [behaviour(f"{name}@sim.test") for name in ("accept", "reject-data", "slow")]

    assert final_step(rows, stored_before=False) == final_step(rows[::-1], stored_before=False)
    assert final_step(rows, stored_before=False).reply.startswith("554")


@settings(max_examples=100)
@given(st.text(alphabet=string.printable + "ü@+", max_size=80), st.booleans())
def test_every_address_gets_a_step_that_is_a_reply_or_a_cut(address, seen):
    row = behaviour(address)

    for step in (recipient_step(row, seen_before=seen), final_step([row], stored_before=seen)):
        assert step.reply[:3].isdigit() or step.close
        assert 0 <= step.seconds <= MAX_SLOW_SECONDS
