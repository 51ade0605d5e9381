"""Index keys, places and the cursors made of them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.message import MAX_RECIPIENTS, NUMBER_BITS, ServerId
from mailroom.domain.search_keys import (
    DAY_SECONDS,
    day_key,
    day_of,
    days_back,
    message_key,
    recipient_key,
    tag_key,
    tags_of,
)
from mailroom.domain.stored_message import Place, dump_cursor, load_cursor
from tests.support.many_messages import NOW, made_submission

SERVER = ServerId("abcdefghij")
MIDNIGHT = 1_759_968_000.0  # 2025-10-09


def test_keys_are_what_is_stored():
    # Rows in tables carry them: a key that changes hides every message stored before.
    assert day_key(SERVER, MIDNIGHT) == "abcdefghij#20251009#0"
    assert day_key(SERVER, MIDNIGHT - 0.001) == "abcdefghij#20251008#0"
    assert tag_key(SERVER, "may#1", MIDNIGHT) == "abcdefghij#may#1#20251009"
    assert recipient_key(SERVER, "Ann@X.test") == "abcdefghij#3af61301a5d21b222b95"
    assert message_key(SERVER, "<m1@demo.test>") == "abcdefghij#6c4df1f51671dc26ffeb"


@given(st.text(max_size=1_000))
def test_any_key_fits_an_index(text):
    for key in (recipient_key(SERVER, text), message_key(SERVER, text), tag_key(SERVER, text, NOW)):
        assert key.startswith(f"{SERVER}#")
        assert len(key.encode("utf-8", "surrogatepass")) <= 2_048


def test_days_go_back_from_the_newest():
    assert list(days_back(MIDNIGHT - 1, MIDNIGHT + 1)) == [MIDNIGHT, MIDNIGHT - DAY_SECONDS]
    assert list(days_back(MIDNIGHT, MIDNIGHT)) == [MIDNIGHT]
    assert list(days_back(MIDNIGHT, MIDNIGHT - 1)) == []
    assert day_of(MIDNIGHT) == "20251009"


@pytest.mark.parametrize(
    ("tag", "tags", "expected"),
    [
        (None, (), ()),
        ("a", (), ("a",)),
        ("a", ("a", "b"), ("a", "b")),
        ("a", ("b", "a", "b"), ("a", "b")),
    ],
)
def test_a_submission_has_each_tag_once(tag, tags, expected):
    assert tags_of(made_submission(5, NOW, tag=tag, tags=tags)) == expected


places = st.builds(
    Place,
    st.integers(0, 253_402_300_799_999),
    st.integers(0, (1 << NUMBER_BITS) - 1),
    st.integers(0, MAX_RECIPIENTS - 1),
)


@given(places, st.integers(0, 999_999_999))
def test_a_cursor_reads_back(place, looked):
    cursor = dump_cursor(place, looked)
    assert load_cursor(cursor) == (place, looked)
    assert len(cursor) <= 80


@given(st.text(max_size=120) | st.binary(max_size=60).map(lambda b: base64.b64encode(b).decode()))
def test_no_other_text_is_a_cursor(text):
    with pytest.raises(ValueError, match="no such cursor"):
        load_cursor(text)


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1024.0",
        f"1.1.{1 << NUMBER_BITS}.0.0",
        "1.999999999999999.1.0.0",
        "1.01.1.0.0",
        "2.1.1.0.0",
        "1.1.1.0.0\n",
        "1.1.1.0",
        "1.-1.1.0.0",
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(text):
    with pytest.raises(ValueError, match="no such cursor"):
        load_cursor(base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))
