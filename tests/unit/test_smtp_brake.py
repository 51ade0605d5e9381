"""Brakes: when they hold, how they let go, and that they forget in time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.smtp_brake import Brake
from egress.core.smtp_client import client_of


def test_a_brake_holds_after_its_limit_and_lets_go_one_by_one() -> None:
    brake = Brake(limit=3, seconds=30, names=10)
    for _ in range(2):
        brake.count("a", now=0)
    assert not brake.is_on("a", now=0)
    brake.count("a", now=0)
    assert brake.is_on("a", now=0)
    assert brake.is_on("a", now=9.9)
    assert not brake.is_on("a", now=10.1)
    brake.count("a", now=10.1)
    assert brake.is_on("a", now=10.2)
    assert not brake.is_on("b", now=0)


def test_a_flood_does_not_hold_it_for_longer() -> None:
    brake = Brake(limit=3, seconds=30, names=10)
    for _ in range(1000):
        brake.count("a", now=0)
    assert not brake.is_on("a", now=10.1)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=200))
def test_memory_is_bounded_and_the_latest_is_remembered(names: list[int]) -> None:
    brake = Brake(limit=1, seconds=10, names=5)
    for name in names:
        brake.count(str(name), now=0)
        assert len(brake) <= 5
        assert brake.is_on(str(name), now=0)


def test_a_client_is_an_ipv4_address_or_an_ipv6_network() -> None:
    assert client_of("::ffff:192.0.2.1") == client_of("192.0.2.1") == "192.0.2.1"
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:1")
    assert client_of("2001:db8::1") != client_of("2001:db8:0:1::1")
    assert client_of("unknown") == "unknown"
