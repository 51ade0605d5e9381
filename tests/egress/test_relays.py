"""The way of a server's mail: its own routes, the platform's, MX; and what a relay may be."""

import asyncio
import ipaddress
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from egress.core.mx import AddressGuard, MxAnswer
from egress.core.routes import Routes
from egress.relays import FRESH_SECONDS, KeptRoutes, Router
from egress.resolver import MxResolver, ResolverSettings
from mailroom.domain.event import EventType
from mailroom.domain.message import ServerId
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Direct, Login, Relay, Target, TlsPolicy
from mailroom.domain.reply import Phase
from tests.egress.name_server import NameServer, Zone, serving
from tests.egress.relay_peer import LoginMx
from tests.egress.scripted_mx import ScriptedMx, listening, self_signed
from tests.support.socket_stand import Outcome, SocketStand, sending

MINE, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
ZONE: Zone = {
    ("plain.example", "MX"): ["10 mx.plain.example."],
    ("mx.plain.example", "A"): ["203.0.114.1"],
    ("hosted.example", "MX"): ["1 aspmx.l.google.com.", "1 alt1.aspmx.l.google.com.", "9 x.y.z."],
    ("aspmx.l.google.com", "A"): ["203.0.114.2"],
    ("mixed.example", "MX"): ["1 aspmx.l.google.com.", "1 mx.plain.example."],
    ("dark.example", "MX"): ["1 dark.google.com."],  # has no address at all
    ("lost.example", "MX"): "SERVFAIL",
    ("public.relay", "A"): ["203.0.114.9"],
    ("inner.relay", "A"): ["10.0.0.1"],
    ("both.relay", "A"): ["169.254.169.254", "203.0.114.8"],
}


@dataclass
class Directory:
    """Routes by owner; counts what is read. `trouble` is raised instead."""

    routes: dict[str, dict[str, Target]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    now: float = 1_000.0

    def __call__(self, owner: str) -> Mapping[str, Target]:
        self.read.append(owner)
        if self.trouble:
            raise self.trouble
        return dict(self.routes.get(owner, {}))

    def clock(self) -> float:
        return self.now


@dataclass
class World:
    """A router over a real name server."""

    router: Router
    directory: Directory
    names: NameServer


@asynccontextmanager
async def a_world(
    *,
    mine: Mapping[str, str] | None = None,
    platform: Mapping[str, str] | None = None,
    host: str = "",
    networks: tuple[str, ...] = (),
) -> AsyncIterator[World]:
    def parsed(texts: Mapping[str, str] | None) -> dict[str, Target]:
        return dict(Routes.parse(f"{p}={t}" for p, t in (texts or {}).items()).targets)

    directory = Directory({f"server#{MINE}": parsed(mine), "platform": parsed(platform)})
    guard = AddressGuard(allowed=tuple(map(ipaddress.ip_network, networks)))
    async with serving(ZONE) as (names, where):
        settings = ResolverSettings((where,), guard=guard, timeout=0.2, lifetime=0.4)
        resolver = MxResolver(settings, clock=directory.clock, chance=lambda: 0.5)
        routes = Routes.parse(host.split()) if host else None
        kept = KeptRoutes(directory, clock=directory.clock, host=routes)
        yield World(Router(resolver, kept), directory, names)
        await resolver.close()


def way(answer: MxAnswer) -> str:
    """Name the relay, or `mx`, or the refusal's codes."""
    if answer.refusal:
        return f"{answer.refusal.code} {answer.refusal.enhanced_text}"
    return f"{answer.relay.host}:{answer.relay.port}" if answer.relay else "mx"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("exact.example", "203.0.114.11:1"),
        ("EXACT.example.", "203.0.114.11:1"),
        ("sub.example", "203.0.114.12:1"),
        ("a.sub.example", "203.0.114.12:1"),
        ("hosted.example", "203.0.114.12:1"),
        ("hosted.test", "203.0.114.14:1"),
        ("except.test", "556 5.1.10"),
    ],
)
async def test_domain_before_suffix_before_everything(domain: str, expected: str) -> None:
    mine = {
        "exact.example": "203.0.114.11:1",
        "*.example": "203.0.114.12:1",
        "mx:google.com": "203.0.114.13:1",
        "*": "203.0.114.14:1",
        "except.test": "direct",
    }
    platform = {"exact.example": "203.0.114.21:1", "*": "203.0.114.22:1"}
    async with a_world(mine=mine, platform=platform) as world:
        world.names.zone = ZONE | {("except.test", "MX"): ["0 ."]}
        assert way(await world.router.hosts(MINE, domain)) == expected


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("hosted.example", "203.0.114.13:1"),  # both best hosts are Google's, the last is not
        ("dark.example", "203.0.114.13:1"),  # no address of its own is needed
        ("mixed.example", "203.0.114.22:1"),
        ("plain.example", "203.0.114.22:1"),
        ("gone.example", "203.0.114.22:1"),
        ("lost.example", "451 4.4.3"),  # not known whose site it is, so not known which way
    ],
)
async def test_a_site_is_routed_by_its_best_mail_exchangers(domain: str, expected: str) -> None:
    mine = {"mx:google.com": "203.0.114.13:1"}
    async with a_world(mine=mine, platform={"*": "203.0.114.22:1"}) as world:
        assert way(await world.router.hosts(MINE, domain)) == expected


async def test_a_servers_widest_route_goes_before_the_platforms_narrowest() -> None:
    platform = {"plain.example": "203.0.114.21:1"}
    async with a_world(mine={"*": "203.0.114.14:1"}, platform=platform) as world:
        assert way(await world.router.hosts(MINE, "plain.example")) == "203.0.114.14:1"
        assert way(await world.router.hosts(OTHER, "plain.example")) == "203.0.114.21:1"


async def test_direct_is_the_exception_from_everything() -> None:
    platform = {"*": "203.0.114.22:1"}
    async with a_world(mine={"plain.example": "direct"}, platform=platform) as world:
        answer = await world.router.hosts(MINE, "plain.example")
        assert [target.host for target in answer.targets] == ["mx.plain.example"]
        assert answer.relay is None
        assert way(await world.router.hosts(OTHER, "plain.example")) == "203.0.114.22:1"


async def test_the_hosts_own_settings_go_before_the_platforms_rows() -> None:
    platform = {"plain.example": "203.0.114.21:1", "*": "203.0.114.22:1"}
    async with a_world(platform=platform, host="plain.example=127.0.0.1:9") as world:
        assert way(await world.router.hosts(MINE, "plain.example")) == "127.0.0.1:9"
        assert way(await world.router.hosts(MINE, "x.example")) == "203.0.114.22:1"


async def test_without_routes_mail_goes_by_mx_and_a_relay_asks_no_mx() -> None:
    async with a_world(mine={"exact.example": "public.relay:26"}) as world:
        assert way(await world.router.hosts(MINE, "plain.example")) == "mx"
        world.names.asked.clear()
        answer = await world.router.hosts(MINE, "exact.example")
        assert [(t.host, t.address, t.port) for t in answer.targets] == [
            ("public.relay", "203.0.114.9", 26)
        ]
        assert world.names.asked == [("public.relay", "A")]
        await world.router.hosts(MINE, "exact.example")
        assert len(world.names.asked) == 1


async def test_a_domain_that_is_none_goes_to_no_relay() -> None:
    async with a_world(platform={"*": "203.0.114.22:1"}) as world:
        assert way(await world.router.hosts(MINE, "a..b")) == "553 5.1.2"


PRIVATE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[fd00::1]", "[::ffff:10.0.0.1]",
           "[64:ff9b::a00:1]", "0.0.0.0", "inner.relay"]  # fmt: skip


@pytest.mark.parametrize("relay", PRIVATE)
async def test_a_servers_relay_is_never_at_a_private_address(relay: str) -> None:
    async with a_world(mine={"*": f"{relay}:25"}) as world:
        answer = await world.router.hosts(MINE, "plain.example")
    assert way(answer) == "451 4.4.4"
    assert answer.targets == ()
    assert answer.refusal
    assert classify_reply(answer.refusal).verdict is Verdict.DEFERRED


@pytest.mark.parametrize("relay", PRIVATE)
async def test_the_platforms_relay_may_be(relay: str) -> None:
    async with a_world(platform={"*": f"{relay}:25"}) as world:
        assert len((await world.router.hosts(MINE, "plain.example")).targets) == 1


async def test_a_servers_relay_may_be_in_a_network_the_host_allows() -> None:
    async with a_world(mine={"*": "inner.relay:25"}, networks=("10.0.0.0/8",)) as world:
        assert (await world.router.hosts(MINE, "plain.example")).targets[0].address == "10.0.0.1"


async def test_only_the_public_addresses_of_a_servers_relay_are_used() -> None:
    async with a_world(mine={"*": "both.relay:25"}) as world:
        targets = (await world.router.hosts(MINE, "plain.example")).targets
    assert [target.address for target in targets] == ["203.0.114.8"]


async def test_what_the_platform_may_look_up_is_still_refused_to_a_server() -> None:
    routes = {"*": "inner.relay:25"}
    async with a_world(mine=routes, platform=routes) as world:
        assert (await world.router.hosts(OTHER, "plain.example")).targets
        assert way(await world.router.hosts(MINE, "plain.example")) == "451 4.4.4"


@pytest.mark.parametrize("relay", ["gone.relay:25", "lost.example:25"])
async def test_a_relay_that_cannot_be_found_defers(relay: str) -> None:
    async with a_world(platform={"*": relay}) as world:
        answer = await world.router.hosts(MINE, "plain.example")
    assert way(answer) == "451 4.4.4"


async def test_routes_are_read_once_a_minute_whoever_asks() -> None:
    async with a_world() as world:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(world.router.hosts(MINE, "plain.example"))
        assert sorted(world.directory.read) == ["platform", f"server#{MINE}"]
        world.directory.routes["platform"] = {"*": Relay("203.0.114.7", 25)}
        assert way(await world.router.hosts(MINE, "plain.example")) == "mx"
        world.directory.now += FRESH_SECONDS
        assert way(await world.router.hosts(MINE, "plain.example")) == "203.0.114.7:25"


async def test_mail_does_not_go_another_way_while_the_routes_cannot_be_read() -> None:
    async with a_world() as world:
        world.directory.trouble = OSError("throttled")
        with pytest.raises(OSError, match="throttled"):
            await world.router.hosts(MINE, "plain.example")
        world.directory.trouble = None
        assert way(await world.router.hosts(MINE, "plain.example")) == "mx"


async def test_reading_does_not_hold_up_the_loop() -> None:
    threads: list[int] = []

    def read(_owner: str) -> Mapping[str, Target]:
        threads.append(threading.get_ident())
        return {"*": Direct.DIRECT}

    routes = await KeptRoutes(read, clock=lambda: 0.0).of("platform")
    assert routes.everything is Direct.DIRECT
    assert threads != [threading.get_ident()]


@asynccontextmanager
async def relaying(folder: Path, mx: ScriptedMx) -> AsyncIterator["Sender"]:
    async with sending(folder) as stand:
        yield Sender(mx, stand)


class Sender:
    """Sends from one host to one relay, with different logins."""

    def __init__(self, mx: ScriptedMx, stand: SocketStand) -> None:
        self.stand = stand
        self._mx = mx

    async def __call__(self, login: Login | None, **relay: TlsPolicy) -> Outcome:
        to = Relay("relay.test", self._mx.port, login=login, **relay)
        return await self.stand.sent(MxAnswer((self._mx.target("relay.test"),), relay=to))


async def test_no_session_is_shared_between_logins_or_tls_policies(tmp_path: Path) -> None:
    mx = LoginMx(tls=self_signed())
    mx.replies["AUTH"] = b"235 2.7.0 whoever you are\r\n"
    mx.logins.append("checked elsewhere")
    ways: list[tuple[Login | None, dict[str, TlsPolicy]]] = [
        (Login("ann", "a"), {}),
        (Login("ann", "b"), {}),
        (Login("bob", "a"), {}),
        (Login("ann", "a", cram=False), {}),
        (Login("ann", "a"), {"tls": TlsPolicy.REQUIRED}),
        (None, {}),
    ]
    async with listening(mx), relaying(tmp_path, mx) as sender:
        for _ in range(2):
            for login, policy in ways:
                assert (await sender(login, **policy)).code == 250
    assert mx.connections == len(ways)


async def test_a_refused_login_is_loud_and_not_tried_again_at_once(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    mx = LoginMx(tls=self_signed())
    async with listening(mx), relaying(tmp_path, mx) as sender:
        outcomes = []
        for _ in range(3):
            outcomes.append(await sender(Login("ann", "hunter2")))
            sender.stand.pass_time(10)  # the engine itself waits between connections that fail
        assert [(each.code, each.phase) for each in outcomes] == [(535, Phase.AUTH)] * 3
        assert mx.tries == 1
        assert (await sender(Login("ann", "open sesame"))).code == 250  # another login may
        sender.stand.pass_time(61)
        await sender(Login("ann", "hunter2"))
        assert mx.tries == 3
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [vars(record)["relay"] for record in errors] == [f"relay.test:{mx.port}"] * 2
    assert "hunter2" not in caplog.text + repr([vars(record) for record in errors])


@pytest.mark.parametrize("verb", ["MAIL", "RCPT"])
async def test_a_relay_that_wants_a_login_we_do_not_have_defers(verb: str, tmp_path: Path) -> None:
    said = {verb: b"530 5.7.0 authentication required\r\n"}
    async with listening(ScriptedMx(said)) as mx, relaying(tmp_path, mx) as sender:
        outcome = await sender(None)
    assert (outcome.code, outcome.phase) == (530, Phase.AUTH)
    assert outcome.type is EventType.DEFERRED


async def test_a_mail_exchanger_that_wants_a_login_refuses_the_recipient(tmp_path: Path) -> None:
    said = {"RCPT": b"530 5.7.0 authentication required\r\n"}
    async with listening(ScriptedMx(said)) as mx, sending(tmp_path) as stand:
        outcome = await stand.sent(MxAnswer((mx.target("mx.test"),)))
    assert (outcome.code, outcome.phase) == (530, Phase.RCPT)


async def test_a_refused_recipient_of_a_relay_is_still_the_recipients(tmp_path: Path) -> None:
    refusing = ScriptedMx({"RCPT": b"550 5.1.1 who?\r\n"})
    async with listening(refusing) as mx, relaying(tmp_path, mx) as sender:
        outcome = await sender(None)
    assert outcome.type is EventType.BOUNCED
