"""Rates as they are written in settings."""

import pytest

from mailroom.domain.sending.rate import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/min", Rate(100, 60)),
        ("5/s", Rate(5, 1)),
        (" 0.5 / h ", Rate(0.5, 3_600)),
        ("3/10s", Rate(3, 10)),
        ("20000/Day", Rate(20_000, 86_400)),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "5", "5/", "0/s", "5/0s", "-5/s", "5/week", "1e3/s", "x/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)


def test_what_a_rate_writes_can_be_read_again() -> None:
    assert parse_rate(str(Rate(100, 60))) == Rate(100, 60)
    assert Rate(100, 60).times(0.5).per_second == pytest.approx(50 / 60)
