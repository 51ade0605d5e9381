"""A tracking token says what we signed, or nothing at all."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.tracking_token import (
    MAX_TRACKED_URL,
    Clicked,
    Opened,
    TrackingKey,
    click_token,
    is_too_long,
    is_trackable,
    open_token,
    read_token,
    redirect_location,
)

KEY = TrackingKey("k1", bytes(range(32)))
OLD = TrackingKey("k0", bytes(range(1, 33)))
KEYS = {KEY.kid: KEY, OLD.kid: OLD}
SERVER = "abcdefghi7"
URL_SAFE = re.compile(r"[A-Za-z0-9._-]+\Z")

servers = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=10, max_size=10)
numbers = st.integers(0, 2**43 - 1)
indexes = st.integers(0, 1023)
urls = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), max_size=60).map(
    lambda path: f"https://example.com/{path}"
)


@settings(max_examples=60)
@given(servers, numbers, indexes, urls)
def test_a_click_token_gives_back_delivery_and_url(
    server: str, number: int, index: int, url: str
) -> None:
    token = click_token(KEY, server=server, number=number, index=index, url=url)
    assert URL_SAFE.match(token)
    assert read_token(token, KEYS) == Clicked(server, number, index, url)


@settings(max_examples=40)
@given(servers, numbers, indexes)
def test_an_open_token_gives_back_the_delivery(server: str, number: int, index: int) -> None:
    token = open_token(OLD, server=server, number=number, index=index)
    assert URL_SAFE.match(token)
    assert len(token) < 40
    assert read_token(token, KEYS) == Opened(server, number, index)


def test_every_single_character_counts() -> None:
    token = click_token(KEY, server=SERVER, number=7, index=3, url="https://example.com/ab?c=1")
    for at, was in enumerate(token):
        for other in "AZaz09-_.":
            if other != was:
                assert read_token(token[:at] + other + token[at + 1 :], KEYS) is None
        assert read_token(token[:at], KEYS) is None
    assert read_token(token + "A", KEYS) is None
    assert read_token(token + "=", KEYS) is None
    assert read_token(token + "\n", KEYS) is None


@pytest.mark.parametrize("length", range(26, 29))
def test_spare_bits_of_the_last_character_are_not_a_second_spelling(length: int) -> None:
    # 25 + 26, 27 and 28 octets leave 0, 4 and 2 spare bits.
    url = "https://example.com/".ljust(length, "x")
    token = click_token(KEY, server=SERVER, number=7, index=3, url=url)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = [c for c in alphabet if read_token(token[:-1] + c, KEYS)]
    assert accepted == [token[-1]]


def test_an_unknown_or_different_key_opens_nothing() -> None:
    token = open_token(KEY, server=SERVER, number=7, index=3)
    assert read_token(token, {"k0": OLD}) is None
    assert read_token(token, {"k1": OLD}) is None
    assert read_token(token.replace("k1.", "k0."), KEYS) is None
    same_secret = {"k1": KEY, "k2": TrackingKey("k2", KEY.secret)}
    assert read_token(token.replace("k1.", "k2."), same_secret) is None


def test_the_kind_is_signed_too() -> None:
    opened = open_token(KEY, server=SERVER, number=7, index=3)
    clicked = click_token(KEY, server=SERVER, number=7, index=3, url="https://example.com/")
    # The same delivery, yet neither is a prefix or a neighbour of the other.
    assert isinstance(read_token(opened, KEYS), Opened)
    assert isinstance(read_token(clicked, KEYS), Clicked)
    assert read_token(clicked[: len(opened)], KEYS) is None
    assert read_token(opened + clicked[len(opened) :], KEYS) is None


@settings(max_examples=100)
@given(st.text(max_size=80) | st.from_regex(r"k1\.[A-Za-z0-9_-]{30,60}", fullmatch=True))
def test_any_other_text_reads_as_nothing(text: str) -> None:
    assert read_token(text, KEYS) is None


def test_an_over_long_text_reads_as_nothing() -> None:
    assert read_token("k1." + "A" * 3_000_000, KEYS) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "ftp://example.com/",
        "//example.com/",
        "https:/example.com",
        "https://",
        "https://?q",
        "https://...",
        "https://example.com/a b",
        "https://example.com/\r\nSet-Cookie: a=b",
        "https://example.com/\x7f",
        "https://good.example\\@bad.example/",
        "https://{{host}}/",
        "https://example.com/" + "x" * MAX_TRACKED_URL,
        "https://example.com/" + "\u20ac" * (MAX_TRACKED_URL // 3),
        "https://example.com/\ud800",
    ],
)
def test_only_web_addresses_of_moderate_length_are_signed(url: str) -> None:
    with pytest.raises(ValueError):
        click_token(KEY, server=SERVER, number=7, index=3, url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "HTTPS://EXAMPLE.COM:8443?q=1#f",
        "https://user:pass@example.com/@me/$1,2!*'()|{}[]~;",
        "https://[2001:db8::1]/",
        "https://b\u00fccher.example/stra\u00dfe?q=\u65e5\u672c",
        'https://example.com/?filter={"a":{"b":1}}',
    ],
)
def test_every_legal_address_and_the_usual_illegal_ones_are_tracked(url: str) -> None:
    assert is_trackable(url)
    token = click_token(KEY, server=SERVER, number=7, index=3, url=url)
    assert read_token(token, KEYS) == Clicked(SERVER, 7, 3, url)


def test_the_longest_url_makes_a_token_that_is_read() -> None:
    url = "https://example.com/".ljust(MAX_TRACKED_URL, "x")
    assert not is_too_long(url)
    assert is_too_long(url + "x")
    token = click_token(
        TrackingKey("k2345678", KEY.secret), server=SERVER, number=7, index=3, url=url
    )
    assert read_token(token, {"k2345678": TrackingKey("k2345678", KEY.secret)})


@pytest.mark.parametrize(
    ("server", "number", "index"),
    [
        ("ABCDEFGHIJ", 1, 1),
        ("abcdefghi1", 1, 1),
        ("abcdefghij\n", 1, 1),
        ("short", 1, 1),
        (SERVER, 2**43, 1),
        (SERVER, -1, 1),
        (SERVER, 1, 1024),
        (SERVER, 1, -1),
    ],
)
def test_ids_out_of_range_are_refused(server: str, number: int, index: int) -> None:
    with pytest.raises(ValueError):
        open_token(KEY, server=server, number=number, index=index)


@pytest.mark.parametrize("kid", ["", "K1", "toolong99", "a.b", "a\n"])
def test_a_key_id_is_short_and_plain(kid: str) -> None:
    with pytest.raises(ValueError):
        TrackingKey(kid, b"x" * 16)


def test_a_short_secret_is_refused_and_a_long_one_not_shown() -> None:
    with pytest.raises(ValueError):
        TrackingKey("k1", b"x" * 15)
    assert "secret" not in repr(TrackingKey("k1", b"secret" * 4))


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://example.com/a%20b?c=1&d={x}|y#f", "https://example.com/a%20b?c=1&d={x}|y#f"),
        (
            "https://b\u00fccher.example:81/\u00e9?\u00e9",
            "https://xn--bcher-kva.example:81/%C3%A9?%C3%A9",
        ),
        ("https://me@b\u00fccher.example", "https://me@xn--bcher-kva.example"),
        ("https://\u00e9..example/", "https://%C3%A9..example/"),
        ('https://example.com/"<>', "https://example.com/%22%3C%3E"),
    ],
)
def test_a_location_is_ascii(url: str, location: str) -> None:
    assert redirect_location(url) == location


@settings(max_examples=60)
@given(st.text(max_size=40).map(lambda text: "https://" + text))
def test_a_location_can_never_break_a_header(url: str) -> None:
    assert re.fullmatch(r"[!-~]*", redirect_location(url))
