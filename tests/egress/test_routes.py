"""Routes: how they are written, and which of several wins."""

import pytest

from egress.core.routes import Routes
from mailroom.domain.relay import (
    MAX_SECRET,
    Direct,
    Login,
    Relay,
    Target,
    TlsPolicy,
    parse_host_port,
    parse_pattern,
    parse_target,
)

ROUTES = Routes.parse(
    [
        "a.example=127.0.0.1:2525",
        "*.example=relay.internal:25",
        "*.a.example=[::1]:26",
        "direct.example=direct",
        "mx:google.com=g.relay:25",
        "mx:aspmx.l.google.com=aspmx.relay:25",
    ]
)


@pytest.mark.parametrize(
    ("domain", "target"),
    [
        ("a.example", Relay("127.0.0.1", 2525)),
        ("b.example", Relay("relay.internal", 25)),
        ("x.b.example", Relay("relay.internal", 25)),
        ("x.a.example", Relay("::1", 26)),
        ("direct.example", Direct.DIRECT),
        ("example", None),
        ("aexample.net", None),
        ("google.com", None),
    ],
)
def test_the_most_exact_name_wins(domain: str, target: Target | None) -> None:
    assert ROUTES.by_name(domain) == target


@pytest.mark.parametrize(
    ("hosts", "host"),
    [
        (["alt1.google.com", "google.com"], "g.relay"),
        (["alt1.aspmx.l.google.com"], "aspmx.relay"),
        (["alt1.aspmx.l.google.com", "mx.google.com"], "g.relay"),
        (["mx.google.com", "mx.example.org"], None),
        (["notgoogle.com"], None),
        ([], None),
    ],
)
def test_a_site_is_known_by_all_of_its_best_hosts(hosts: list[str], host: str | None) -> None:
    assert ROUTES.asks_for_sites
    assert ROUTES.by_site(hosts) == (Relay(host, 25) if host else None)


def test_a_star_is_for_everything_else_and_not_a_name() -> None:
    routes = Routes.parse(["*=127.0.0.1:1", "a.example=127.0.0.1:2"])
    assert routes.everything == Relay("127.0.0.1", 1)
    assert routes.by_name("b.example") is None
    assert not routes.asks_for_sites
    assert Routes().everything is None


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("direct", Direct.DIRECT),
        ("Relay.Example:587", Relay("relay.example", 587)),
        ("smtp://relay.example:587", Relay("relay.example", 587)),
        ("smtp://[2001:db8::1]:25/?tls=none", Relay("2001:db8::1", 25, TlsPolicy.NONE)),
        ("smtp://r.example:587?tls=required", Relay("r.example", 587, TlsPolicy.REQUIRED)),
        ("smtp://r.example:587?tls=verified", Relay("r.example", 587, TlsPolicy.VERIFIED)),
        ("smtp://r.example:465?tls=implicit", Relay("r.example", 465, TlsPolicy.IMPLICIT)),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Direct",
        "host",
        "a_b..c:25",
        "-a.example:25",
        "http://relay.example:25",
        "smtp://relay.example",
        "smtp://relay.example:25/x",
        "smtp://relay.example:25#x",
        "smtp://relay.example:25?tls=starttls",
        "smtp://relay.example:25?tls",
        "smtp://relay.example:25?ssl=none",
        "smtp://ann:secret@relay.example:25",
    ],
)
def test_what_is_no_target_is_refused_and_no_secret_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_target(text)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    ["", "host", "host:", "host:0", "host:65536", "::1:25", "[host]:25", "a b:25", "host:25x"],
)
def test_a_malformed_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|IPv6"):
        parse_host_port(text)


@pytest.mark.parametrize("pattern", ["*", "a.example", "*.a.example", "mx:a.example", "x_y.z"])
def test_a_pattern_is_stored_in_lower_case(pattern: str) -> None:
    assert parse_pattern(pattern.upper().replace("MX:", "mx:")) == pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "", "*.", "**", "*.*", "a.*", "mx:", "mx:*", "mx:*.a", "a..b", ".a", "a.", "-a", "a b",
        "b\u00fccher.example", "a=b", "x" * 64, "a." * 130 + "b", "a\n",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no domain"):
        parse_pattern(pattern)


@pytest.mark.parametrize("route", ["a.example", "=127.0.0.1:25", "a.example=", "a.example=host"])
def test_a_malformed_route_is_refused(route: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Routes.parse([route])


@pytest.mark.parametrize(
    ("user", "secret"),
    [("", "x"), ("x", ""), ("a\0b", "x"), ("x", "a\r\nb"), ("u" * 256, "x"),
     ("x", "\u00e9" * (MAX_SECRET // 2 + 1))],
)  # fmt: skip
def test_what_fits_in_no_sasl_message_is_no_login(user: str, secret: str) -> None:
    with pytest.raises(ValueError, match="relay's"):
        Login(user, secret)


def test_a_login_that_could_never_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="without TLS"):
        Relay("relay.example", 25, TlsPolicy.NONE, Login("ann", "secret", cram=False))
