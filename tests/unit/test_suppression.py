"""Which address is which, and what becomes of a second suppression."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailroom.domain.address import MalformedAddressError
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import (
    Reason,
    Suppression,
    merged,
    normal_address,
    recipient_hmac,
    scopes_of,
    strongest,
    unicode_address,
)

NOW = 1_760_000_000.0


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        (" ann@example.com. ", "ann@example.com"),
        ('"ann"@example.com', "ann@example.com"),
        ('"ann b"@example.com', '"ann b"@example.com'),
        ("ann@bücher.test", "ann@xn--bcher-kva.test"),
        ("ann@BÜCHER.test", "ann@xn--bcher-kva.test"),
        ("ann@xn--bcher-kva.test", "ann@xn--bcher-kva.test"),
        ("ann@bu\u0308cher.test", "ann@xn--bcher-kva.test"),
        ("ann@xn--straße.test", "ann@xn--straße.test"),
        ("Ünn@example.com", "ünn@example.com"),
    ],
)
def test_an_address_has_one_spelling(text, normal):
    assert normal_address(text) == normal
    assert recipient_hmac(b"k", text) == recipient_hmac(b"k", normal)


LABELS = st.text(min_size=1, max_size=6) | st.from_regex(r"(?i)xn--[a-z0-9-]{1,9}", fullmatch=True)


@given(st.text(max_size=12), st.lists(LABELS, min_size=1, max_size=2))
@example("a", ["\u2100"])  # one character that stands for "a/c"
@example("\u0130", ["\u0130"])
@example("a", ["xn--" + "9" * 30])
def test_the_one_spelling_is_its_own(local, labels):
    try:
        once = normal_address(f"{local}@{'.'.join(labels)}.test")
    except MalformedAddressError:
        return
    assert normal_address(once) == once


@pytest.mark.parametrize("text", ["ann@bücher.test", "ann@XN--bcher-kva.test", "Ann@x.test"])
def test_the_unicode_form_is_the_same_address(text):
    assert normal_address(unicode_address(normal_address(text))) == normal_address(text)
    assert "xn--" not in unicode_address(normal_address(text))


def test_hashes_need_the_key_and_tell_addresses_apart():
    assert len(recipient_hmac(b"k", "ann@x.test")) == 64
    others = {recipient_hmac(b"l", "ann@x.test"), recipient_hmac(b"k", "bob@x.test")}
    assert recipient_hmac(b"k", "ann@x.test") not in others


def one(reason, expires_at=None, created_at=NOW):
    return Suppression("s", reason, "ann@x.test", created_at, expires_at=expires_at)


@pytest.mark.parametrize(
    ("known", "new", "kept"),
    [
        (None, one(Reason.IMPORT), one(Reason.IMPORT)),
        (one(Reason.IMPORT), one(Reason.IMPORT, created_at=NOW + 1), None),
        (one(Reason.HARD_BOUNCE), one(Reason.SOFT_BOUNCES), None),
        (one(Reason.HARD_BOUNCE), one(Reason.COMPLAINT), one(Reason.COMPLAINT)),
        # The later end holds, whichever brought it.
        (one(Reason.HARD_BOUNCE), one(Reason.MANUAL, NOW + 9), one(Reason.MANUAL)),
        (one(Reason.MANUAL, NOW + 9), one(Reason.HARD_BOUNCE), one(Reason.MANUAL)),
        (one(Reason.MANUAL, NOW + 9), one(Reason.MANUAL, NOW + 8), None),
        (one(Reason.COMPLAINT, NOW - 1), one(Reason.IMPORT), one(Reason.IMPORT)),
    ],
)
def test_the_stronger_reason_and_the_later_end_hold(known, new, kept):
    assert merged(known, new) == kept


@given(st.lists(st.sampled_from(Reason), min_size=1, max_size=6))
def test_the_strongest_of_many_does_not_depend_on_their_order(reasons):
    stored = None
    for reason in reasons:
        stored = merged(stored, one(reason)) or stored
    assert stored.reason == strongest(map(one, sorted(reasons))).reason


def test_widest_scope_first():
    assert scopes_of("o", ServerId("s"), "news") == ("organisation#o", "server#s", "stream#s#news")
    assert scopes_of("o", ServerId("s"), "") == ("organisation#o", "server#s")


def test_of_equal_reasons_the_first_is_named():
    rows = [replace(one(Reason.MANUAL), scope=scope) for scope in ("wide", "narrow")]
    assert strongest(rows).scope == "wide"
    assert strongest([]) is None
