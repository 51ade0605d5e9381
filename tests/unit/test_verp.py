"""Return paths that say which delivery came back."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.address import Address, parse_address
from mailroom.domain.message import MAX_RECIPIENTS, NUMBER_BITS, DeliveryKey, ServerId
from mailroom.domain.verp import VerpKey, read_return_path, return_path

OLD, NEW = VerpKey("a", b"old" * 11), VerpKey("7", b"new" * 11)
KEYS = {key.kid: key for key in (OLD, NEW)}
KEY = DeliveryKey(ServerId("abcdefghij"), 12_345_678_901, 9)
WRITTEN = return_path(KEY, domain="psrp.demo.example", signer=NEW)
DELIVERIES = st.builds(
    DeliveryKey,
    st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=10, max_size=10).map(ServerId),
    st.integers(1, (1 << NUMBER_BITS) - 1),
    st.integers(0, MAX_RECIPIENTS - 1),
)


@given(DELIVERIES, st.sampled_from([OLD, NEW]), st.randoms())
@settings(max_examples=100)
def test_it_comes_back_whatever_happened_to_its_case(
    key: DeliveryKey,
    signer: VerpKey,
    random: Random,
) -> None:
    written = return_path(key, domain="psrp.demo.example", signer=signer)
    folded = "".join(random.choice((c.upper(), c.lower())) for c in written.local)
    assert read_return_path(Address(folded, written.domain), KEYS) == key
    assert len(written.local) <= 64
    assert parse_address(str(written)) == written


def test_it_is_the_same_every_time_and_names_nobody() -> None:
    assert return_path(KEY, domain="psrp.demo.example", signer=NEW) == WRITTEN
    assert WRITTEN.domain == "psrp.demo.example"
    assert "@" not in WRITTEN.local


@pytest.mark.parametrize("place", range(len(WRITTEN.local)))
def test_a_change_of_any_letter_is_noticed(place: int) -> None:
    local = WRITTEN.local
    other = "b" if local[place] != "b" else "c"
    forged = local[:place] + other + local[place + 1 :]
    assert read_return_path(Address(forged, WRITTEN.domain), KEYS) is None


def test_signatures_of_another_key_do_not_count() -> None:
    claimed = WRITTEN.local[:2] + "a" + WRITTEN.local[3:]  # names the old key
    assert read_return_path(Address(claimed, WRITTEN.domain), KEYS) is None
    assert read_return_path(WRITTEN, {"a": OLD}) is None
    assert read_return_path(WRITTEN, {"7": VerpKey("7", b"other" * 7)}) is None


def test_a_signature_under_a_number_no_delivery_has_is_dropped() -> None:
    nobody = return_path(DeliveryKey(KEY.server, 0, 0), domain="d.example", signer=NEW)
    assert read_return_path(nobody, KEYS) is None


@given(st.text(max_size=60) | st.from_regex(r"b\+[a7][a-z2-7]{38}", fullmatch=True))
@settings(max_examples=100)
def test_any_other_address_is_nobodys(local: str) -> None:
    assert read_return_path(Address(local, "psrp.demo.example"), KEYS) is None


def test_the_secret_is_not_shown() -> None:
    assert "new" not in repr(NEW)
