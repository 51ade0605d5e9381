"""Where mail for a domain goes, decided from DNS answers alone."""

import ipaddress
from collections.abc import Mapping

import pytest

from egress.core.mx import (
    MAX_ADDRESSES,
    MAX_HOSTS,
    TTL_CEILING,
    TTL_FLOOR,
    Addresses,
    AddressGuard,
    Lookup,
    Mx,
    MxAnswer,
    MxRecords,
    MxTarget,
    a_label,
    decide,
    exchangers,
    shuffled,
)
from mailroom.domain.outcome import BounceKind, Verdict, classify_reply

EMPTY = Addresses(Lookup.EMPTY)
FAILED = Addresses(Lookup.FAILED)


def at(*addresses: str, ttl: float = 300) -> Addresses:
    return Addresses(Lookup.FOUND, addresses, ttl)


def decided(
    found: Mapping[str, Addresses], *, ttl: float = 300, guard: AddressGuard | None = None
) -> MxAnswer:
    mxs = tuple(Mx(10 * n, host) for n, host in enumerate(found))
    return decide("d.example", mxs, found, guard=guard or AddressGuard(), port=25, ttl=ttl)


def refusal_of(answer: object) -> tuple[int, str]:
    assert isinstance(answer, MxAnswer)
    assert answer.refusal is not None
    assert answer.targets == ()
    assert answer.refusal.phase == "DNS"
    return answer.refusal.code, answer.refusal.enhanced_text


def test_exchangers_come_in_order_of_preference() -> None:
    records = (Mx(20, "b"), Mx(10, "a"), Mx(20, "c"))
    assert exchangers("d", MxRecords(Lookup.FOUND, records)) == (
        Mx(10, "a"),
        Mx(20, "b"),
        Mx(20, "c"),
    )


def test_a_domain_without_mx_is_its_own_exchanger() -> None:
    assert exchangers("d.example", MxRecords(Lookup.EMPTY)) == (Mx(0, "d.example"),)


@pytest.mark.parametrize(
    ("records", "expected", "verdict", "bounce"),
    [
        (MxRecords(Lookup.FOUND, (Mx(0, ""),)), (556, "5.1.10"), Verdict.BOUNCED, BounceKind.HARD),
        (MxRecords(Lookup.ABSENT), (550, "5.1.2"), Verdict.BOUNCED, BounceKind.HARD),
        (MxRecords(Lookup.FAILED), (451, "4.4.3"), Verdict.DEFERRED, None),
    ],
    ids=["null MX", "no such domain", "no answer"],
)
def test_refusals_before_any_address(
    records: MxRecords, expected: tuple[int, str], verdict: Verdict, bounce: BounceKind | None
) -> None:
    answer = exchangers("d.example", records)
    assert refusal_of(answer) == expected
    assert isinstance(answer, MxAnswer)
    assert answer.refusal is not None
    outcome = classify_reply(answer.refusal)
    assert (outcome.verdict, outcome.bounce) == (verdict, bounce)


def test_a_null_mx_among_others_is_skipped() -> None:
    records = MxRecords(Lookup.FOUND, (Mx(0, ""), Mx(5, "a")))
    assert exchangers("d", records) == (Mx(5, "a"),)


def test_a_thousand_exchangers_are_cut_to_the_best() -> None:
    chosen = exchangers(
        "d", MxRecords(Lookup.FOUND, tuple(Mx(n, f"h{n}") for n in range(1000, 0, -1)))
    )
    assert isinstance(chosen, tuple)
    assert [mx.preference for mx in chosen] == list(range(1, MAX_HOSTS + 1))


def test_targets_keep_preference_and_port() -> None:
    answer = decided({"a": at("203.0.114.1", "203.0.114.2"), "b": FAILED, "c": at("203.0.114.3")})
    assert answer.targets == (
        MxTarget("a", "203.0.114.1", 25, 0),
        MxTarget("a", "203.0.114.2", 25, 0),
        MxTarget("c", "203.0.114.3", 25, 20),
    )
    assert answer.site == "a:25,c:25"


def test_the_site_is_the_set_of_hosts_in_whatever_order() -> None:
    one, other = MxTarget("a", "203.0.114.1"), MxTarget("b", "203.0.114.2")
    assert MxAnswer((one, other)).site == MxAnswer((other, one, one)).site


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"a": EMPTY, "b": EMPTY}, (550, "5.4.4")),
        ({"a": EMPTY, "b": FAILED}, (451, "4.4.3")),
        ({"a": at("10.0.0.1"), "b": at("192.168.1.1")}, (550, "5.4.4")),
        ({"a": at("10.0.0.1"), "b": FAILED}, (451, "4.4.3")),
        ({"a": at("10.0.0.1"), "b": EMPTY}, (550, "5.4.4")),
    ],
)
def test_no_target_is_permanent_only_when_everything_is_known(
    found: Mapping[str, Addresses], expected: tuple[int, str]
) -> None:
    assert refusal_of(decided(found)) == expected


def test_addresses_of_one_host_are_bounded() -> None:
    many = at(*(f"203.0.114.{n}" for n in range(1, 100)))
    assert len(decided({"a": many}).targets) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("mx_ttl", "address_ttl", "kept"),
    [(300, 200, 200), (0, 300, TTL_FLOOR), (90_000, 90_000, TTL_CEILING), (100, 200, 100)],
)
def test_answers_are_kept_between_a_minute_and_an_hour(
    mx_ttl: float, address_ttl: float, kept: float
) -> None:
    assert decided({"a": at("203.0.114.1", ttl=address_ttl)}, ttl=mx_ttl).ttl == kept


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "",
        "localhost",
        "1.2.3",
        "127.1",
    ],
)
def test_addresses_nobody_outside_has_are_refused(address: str) -> None:
    assert not AddressGuard().permits(address)


@pytest.mark.parametrize("address", ["198.51.99.1", "8.8.8.8", "2a00:1450::1", "64:ff9b::808:808"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert AddressGuard().permits(address)


def test_an_allow_list_admits_its_networks_only() -> None:
    guard = AddressGuard(
        allowed=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    )
    assert guard.permits("127.0.0.9")
    assert guard.permits("::1")
    assert not guard.permits("10.0.0.1")


def test_our_own_address_is_refused_even_when_allowed() -> None:
    guard = AddressGuard(
        allowed=(ipaddress.ip_network("127.0.0.0/8"),), own=frozenset({"127.0.0.1", "8.8.8.8"})
    )
    assert not guard.permits("127.0.0.1")
    assert not guard.permits("8.8.8.8")


def test_equal_preferences_are_shuffled_and_unequal_ones_never() -> None:
    targets = (MxTarget("a", "1", 25, 5), MxTarget("b", "2", 25, 5), MxTarget("c", "3", 25, 9))
    chances = iter([0.9, 0.1, 0.0])
    assert [t.host for t in shuffled(MxAnswer(targets), lambda: next(chances)).targets] == [
        "b",
        "a",
        "c",
    ]


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("Example.COM.", "example.com"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("_x.example", "_x.example"),
    ],
)
def test_domains_become_a_labels(domain: str, ascii_form: str) -> None:
    assert a_label(domain) == ascii_form


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "x" * 64 + ".example", "\u2028.example", "a." * 130]
)
def test_what_is_no_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        a_label(domain)
