"""Keys and numbers of submissions and deliveries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.message import (
    EPOCH,
    MAX_RECIPIENTS,
    NUMBER_BITS,
    BodyRef,
    DeliveryKey,
    Domain,
    ServerId,
    Submission,
    submission_number,
)

SERVER = ServerId("abcdefghij")
KEYS = st.builds(
    DeliveryKey,
    st.just(SERVER),
    st.integers(1, (1 << NUMBER_BITS) - 1),
    st.integers(0, MAX_RECIPIENTS - 1),
)


@given(KEYS)
@settings(max_examples=100)
def test_a_key_survives_both_its_spellings(key: DeliveryKey) -> None:
    assert DeliveryKey.from_postal_id(SERVER, key.postal_id) == key
    assert DeliveryKey.parse(str(key)) == key
    assert 0 < key.postal_id < 1 << 53  # exact in JavaScript and PHP


@pytest.mark.parametrize("id_", [0, -1, 1 << 53, 1 << 64])
def test_ids_that_no_delivery_has(id_: int) -> None:
    with pytest.raises(ValueError, match="no message"):
        DeliveryKey.from_postal_id(SERVER, id_)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a.1", "a.1.2.3", "a.x.1", "a.1_0.2", "a. 1.2", "a.+1.2", "a.1.02", "a.\u0661.2"],
)
def test_texts_that_name_no_delivery(text: str) -> None:
    with pytest.raises(ValueError):
        DeliveryKey.parse(text)


@given(st.floats(EPOCH, EPOCH + (1 << 30) - 1), st.integers(0))
@settings(max_examples=100)
def test_numbers_fit_and_sort_by_time(now: float, chance: int) -> None:
    number = submission_number(now, chance)
    assert 0 <= number < 1 << NUMBER_BITS
    assert number >> 13 == int(now) - EPOCH
    assert number < submission_number(now + 1, 0) or int(now) == EPOCH + (1 << 30) - 1


def test_numbers_of_one_second_differ_by_chance_alone() -> None:
    assert len({submission_number(EPOCH + 5.0, chance) for chance in range(1 << 13)}) == 1 << 13


def test_a_clock_before_the_epoch_gives_no_negative_number() -> None:
    assert submission_number(0.0, 7) == 7


def test_a_submission_names_its_deliveries() -> None:
    submission = Submission(
        SERVER, 5, 1.0, 2.0, "", "a@b.example", "b.example", "", None, None, 1, 2, "api",
        bounce=False, body=BodyRef(inline=b"x"),
    )  # fmt: skip
    assert submission.key(1) == DeliveryKey(SERVER, 5, 1)


def test_a_domain_does_not_show_its_key() -> None:
    assert "secret" not in repr(Domain("a.example", "server#x", True, "s", b"secret"))
