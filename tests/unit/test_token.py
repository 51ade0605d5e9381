"""Postal's message token, derived."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.token import message_token

SERVERS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=10, max_size=10).map(ServerId)
KEYS = st.builds(DeliveryKey, SERVERS, st.integers(0, 1 << 43), st.integers(0, 1023))


@given(KEYS, st.binary(min_size=16, max_size=32))
@settings(max_examples=100)
def test_a_token_has_postals_shape_and_never_changes(key: DeliveryKey, secret: bytes) -> None:
    token = message_token(key, secret)
    assert re.fullmatch(r"[A-Za-z2-7]{16}", token)
    assert token == message_token(key, secret)


@given(KEYS, KEYS)
@settings(max_examples=100)
def test_two_deliveries_have_two_tokens(one: DeliveryKey, other: DeliveryKey) -> None:
    same = message_token(one, b"k" * 32) == message_token(other, b"k" * 32)
    assert same == (one == other)


def test_without_the_secret_nobody_can_derive_it() -> None:
    key = DeliveryKey(ServerId("abcdefghij"), 1, 0)
    assert message_token(key, b"k" * 32) != message_token(key, b"l" * 32)
