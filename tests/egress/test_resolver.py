"""The resolver against a small DNS server on a real socket."""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import replace

import pytest

from egress.core.mx import AddressGuard, MxAnswer, MxTarget
from egress.resolver import MxResolver, ResolverSettings
from tests.egress.name_server import serving


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def a_resolver(
    *servers: str, clock: Callable[[], float] | None = None, **settings: object
) -> MxResolver:
    quick = ResolverSettings(servers, timeout=0.2, lifetime=0.4)
    return MxResolver(replace(quick, **settings), clock=clock or Clock(), chance=lambda: 0.5)  # type: ignore[arg-type]


async def ask(
    zone: dict[tuple[str, str], list[str] | str], domain: str, **settings: object
) -> MxAnswer:
    async with serving(zone) as (_, where):
        return await a_resolver(where, **settings).hosts(domain)


ONE = "203.0.114.1"
TWO = "203.0.114.2"


@pytest.mark.parametrize(
    ("zone", "targets"),
    [
        (
            {
                ("d.example", "MX"): ["20 b.example.", "10 a.example."],
                ("a.example", "A"): [ONE],
                ("b.example", "A"): [TWO],
            },
            (MxTarget("a.example", ONE, 25, 10), MxTarget("b.example", TWO, 25, 20)),
        ),
        ({("d.example", "A"): [ONE]}, (MxTarget("d.example", ONE),)),
        (
            {
                ("d.example", "CNAME"): ["e.example."],
                ("e.example", "MX"): ["5 a.example."],
                ("a.example", "A"): [ONE],
            },
            (MxTarget("a.example", ONE, 25, 5),),
        ),
        (
            {
                ("d.example", "MX"): ["5 a.example."],
                ("a.example", "CNAME"): ["b.example."],
                ("b.example", "A"): [ONE],
            },
            (MxTarget("a.example", ONE, 25, 5),),
        ),
        (
            {
                ("d.example", "MX"): ["1 a.example.", "2 b.example."],
                ("a.example", "A"): "SERVFAIL",
                ("b.example", "A"): [TWO],
            },
            (MxTarget("b.example", TWO, 25, 2),),
        ),
        (
            {
                ("d.example", "MX"): ["1 a.example.", "2 b.example."],
                ("a.example", "A"): ["10.0.0.1"],
                ("b.example", "A"): [TWO],
            },
            (MxTarget("b.example", TWO, 25, 2),),
        ),
    ],
    ids=[
        "preferences",
        "implicit",
        "alias of the domain",
        "alias of the host",
        "one host fails",
        "one is private",
    ],
)
async def test_targets(
    zone: dict[tuple[str, str], list[str] | str], targets: tuple[MxTarget, ...]
) -> None:
    answer = await ask(zone, "d.example")
    assert answer.refusal is None
    assert answer.targets == targets


@pytest.mark.parametrize(
    ("zone", "code", "enhanced"),
    [
        ({("d.example", "MX"): ["0 ."]}, 556, "5.1.10"),
        ({}, 550, "5.1.2"),
        ({("d.example", "MX"): "SERVFAIL"}, 451, "4.4.3"),
        ({("d.example", "MX"): "REFUSED"}, 451, "4.4.3"),
        ({("d.example", "MX"): "SILENCE"}, 451, "4.4.3"),
        ({("d.example", "TXT"): ["x"]}, 550, "5.4.4"),
        ({("d.example", "MX"): ["1 a.example."], ("d.example", "A"): [ONE]}, 550, "5.4.4"),
        ({("d.example", "MX"): ["1 a.example."], ("a.example", "A"): "SERVFAIL"}, 451, "4.4.3"),
        ({("d.example", "MX"): ["1 a.example."], ("a.example", "A"): ["127.0.0.1"]}, 550, "5.4.4"),
        (
            {("d.example", "CNAME"): ["e.example."], ("e.example", "CNAME"): ["d.example."]},
            451,
            "4.4.3",
        ),
        ({("d.example", "CNAME"): ["d.example."]}, 451, "4.4.3"),
    ],
    ids=[
        "null MX",
        "no domain",
        "SERVFAIL",
        "REFUSED",
        "time-out",
        "no MX, no A",
        "MX useless, A there",
        "MX host fails",
        "private",
        "alias loop",
        "alias of itself",
    ],
)
async def test_refusals(
    zone: dict[tuple[str, str], list[str] | str], code: int, enhanced: str
) -> None:
    answer = await ask(zone, "d.example")
    assert answer.refusal is not None
    assert (answer.refusal.code, answer.refusal.enhanced_text) == (code, enhanced)
    assert answer.targets == ()


async def test_an_unreachable_name_server_is_temporary() -> None:
    async with serving({}) as (_, where):
        pass
    answer = await a_resolver(where).hosts("d.example")
    assert answer.refusal is not None
    assert answer.refusal.code == 451


async def test_one_confused_server_cannot_declare_a_domain_dead() -> None:
    good = {("d.example", "A"): [ONE]}
    async with serving({}) as (confused, first), serving(good) as (_, second):
        answer = await a_resolver(first, second).hosts("d.example")
    assert [target.address for target in answer.targets] == [ONE]
    assert confused.asked[0] == ("d.example", "MX")


async def test_the_allow_list_admits_local_hosts() -> None:
    guard = AddressGuard(allowed=(ipaddress.ip_network("127.0.0.0/8"),))
    answer = await ask({("d.example", "A"): ["127.0.0.2"]}, "d.example", guard=guard, port=2525)
    assert answer.targets == (MxTarget("d.example", "127.0.0.2", 2525),)


async def test_ipv6_is_asked_for_only_if_we_have_it() -> None:
    zone: dict[tuple[str, str], list[str] | str] = {
        ("d.example", "A"): [ONE],
        ("d.example", "AAAA"): ["2a00::1"],
    }
    assert [t.address for t in (await ask(zone, "d.example")).targets] == [ONE]
    both = await ask(zone, "d.example", ipv6=True)
    assert {t.address for t in both.targets} == {ONE, "2a00::1"}


async def test_an_idn_domain_is_asked_for_as_a_label() -> None:
    answer = await ask({("xn--bcher-kva.example", "A"): [ONE]}, "b\u00fccher.example")
    assert [t.host for t in answer.targets] == ["xn--bcher-kva.example"]


@pytest.mark.parametrize(
    "domain", ["a..b", "", "x" * 70 + ".example", "a b\\.example", "\ud800.example"]
)
async def test_a_domain_that_is_none_is_refused_or_unknown(domain: str) -> None:
    answer = await ask({}, domain)
    assert answer.refusal is not None
    assert 400 <= answer.refusal.code < 600


async def test_answers_are_kept_for_their_time() -> None:
    clock = Clock()
    async with serving({("d.example", "A"): [ONE]}) as (server, where):
        resolver = a_resolver(where, clock=clock)
        await resolver.hosts("d.example")
        asked = len(server.asked)
        clock.now += 299
        await resolver.hosts("d.example")
        assert len(server.asked) == asked
        clock.now += 2
        await resolver.hosts("d.example")
        assert len(server.asked) == 2 * asked


async def test_refusals_are_kept_for_a_minute() -> None:
    clock = Clock()
    async with serving({}) as (server, where):
        resolver = a_resolver(where, clock=clock)
        await resolver.hosts("d.example")
        asked = len(server.asked)
        clock.now += 59
        await resolver.hosts("d.example")
        assert len(server.asked) == asked
        clock.now += 2
        await resolver.hosts("d.example")
        assert len(server.asked) > asked


async def test_the_cache_is_bounded() -> None:
    async with serving({}) as (_, where):
        resolver = a_resolver(where, cached_domains=3)
        for n in range(10):
            await resolver.hosts(f"d{n}.example")
    assert len(resolver._kept) == 3


async def test_askers_at_the_same_time_share_one_question() -> None:
    async with serving({("d.example", "A"): [ONE]}) as (server, where):
        server.gate = asyncio.Event()
        resolver = a_resolver(where, timeout=5.0, lifetime=5.0)
        asking = [asyncio.create_task(resolver.hosts("d.example")) for _ in range(20)]
        await asyncio.wait(asking, timeout=0.01)
        asking[0].cancel()
        server.gate.set()
        answers = await asyncio.gather(*asking[1:])
        assert {answer.targets for answer in answers} == {(MxTarget("d.example", ONE),)}
        assert server.asked == [("d.example", "MX"), ("d.example", "A")]
        with pytest.raises(asyncio.CancelledError):
            await asking[0]


async def test_close_ends_what_is_being_asked() -> None:
    async with serving({}) as (server, where):
        server.gate = asyncio.Event()
        resolver = a_resolver(where, timeout=60.0, lifetime=60.0)
        asking = asyncio.create_task(resolver.hosts("d.example"))
        await asyncio.wait([asking], timeout=0.01)
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        server.gate.set()


@pytest.mark.parametrize("servers", [(), ("ns.example:53",), ("127.0.0.1",)])
def test_name_servers_are_addresses_with_ports(servers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="port"):
        a_resolver(*servers)
