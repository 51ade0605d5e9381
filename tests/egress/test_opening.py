"""Opening sessions: the next host on trouble, families, and TLS that is had or nothing goes."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from egress.connecting import Timeouts, tls_context
from egress.core.mx import MxTarget
from egress.core.tls_policy import HostPolicy
from egress.opening import NotOpened, Opened, Opener, OpenerSettings
from egress.remembered import Remembered
from egress.source import Source
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import Login, Relay, TlsPolicy
from mailroom.domain.sending.settings import IpUse, PathSettings, TlsUse
from mailroom.domain.transport.sts import StsMode, StsPolicy
from mailroom.domain.transport.tls_result import TlsResult
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening, self_signed
from tests.egress.sessions import TLS_OFFER, send
from tests.egress.tls_peers import Authority, Watch, an_authority

SOURCE = Source("out.example.com", "127.0.0.1", public="203.0.114.9")
PATH = PathSettings()
HOST = "mx.example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("stranger"))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stand:
    """An opener with what it remembers and tells."""

    authority: Authority | None = None
    clock: Clock = field(default_factory=Clock)
    watch: Watch = field(default_factory=Watch)
    starttls: float = 5.0

    def __post_init__(self) -> None:
        timeouts = replace(Timeouts(), starttls=self.starttls)
        file = self.authority.file if self.authority else None
        self.broken: Remembered[str, TlsResult] = Remembered(100, clock=self.clock)
        settings = OpenerSettings(timeouts, file)
        self.opener = Opener(settings, self.broken, clock=self.clock, watch=self.watch)

    async def open(
        self,
        *targets: MxTarget,
        source: Source = SOURCE,
        path: PathSettings = PATH,
        policy: HostPolicy | None = None,
        relay: Relay | None = None,
    ) -> Opened | NotOpened:
        return await self.opener.open(
            targets,
            source=source,
            settings=path,
            policy=policy,
            domain="" if relay else "example.org",
            relay=relay,
        )

    async def opened(self, *targets: MxTarget, **how: object) -> Opened:
        found = await self.open(*targets, **how)  # type: ignore[arg-type]
        assert isinstance(found, Opened)
        return found

    async def not_opened(self, *targets: MxTarget, **how: object) -> NotOpened:
        found = await self.open(*targets, **how)  # type: ignore[arg-type]
        assert isinstance(found, NotOpened)
        return found


def sts(mode: StsMode = StsMode.ENFORCE, *patterns: str) -> HostPolicy:
    return HostPolicy("example.org", StsPolicy(mode, 86_400, patterns or ("*.example.org",)))


def tls_host(context: object = None) -> ScriptedMx:
    return ScriptedMx({"EHLO": TLS_OFFER}, tls=context or self_signed())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "replies",
    [
        {"banner": b"421 4.3.2 busy\r\n"},
        {"banner": b"554 5.7.1 no\r\n"},
        {"banner": HANG_UP},
        {"EHLO": b"421 later\r\n"},
        {"EHLO": HANG_UP, "HELO": HANG_UP},
    ],
)
async def test_the_next_host_is_tried_on_trouble_before_mail(replies: dict[str, bytes]) -> None:
    bad, good, stand = ScriptedMx(replies), ScriptedMx(), Stand()
    async with listening(bad), listening(good):
        found = await stand.opened(bad.target("one.test"), good.target("two.test"))
        await found.session.close()
    assert found.session.target.host == "two.test"
    assert [each.target.host for each in found.tried] == ["one.test"]


async def test_the_next_host_is_tried_when_one_refuses_connections() -> None:
    gone, good, stand = ScriptedMx(), ScriptedMx(), Stand()
    async with listening(gone):
        pass
    async with listening(good):
        found = await stand.opened(gone.target(), good.target("two.test"))
        await found.session.close()
    assert [(each.reply.code, each.reply.phase) for each in found.tried] == [(0, "connect")]


async def test_no_more_addresses_are_tried_than_the_path_allows() -> None:
    bad = [ScriptedMx({"banner": b"421 no\r\n"}) for _ in range(3)]
    async with listening(bad[0]), listening(bad[1]), listening(bad[2]):
        found = await Stand().not_opened(
            *(each.target() for each in bad), path=PathSettings(addresses=2)
        )
    assert (found.reply.code, len(found.tried)) == (421, 2)
    assert [each.connections for each in bad] == [1, 1, 0]


@dataclass
class Door:
    """A doorman who lets in only to the hosts in `free`."""

    free: set[str]
    inside: list[str] = field(default_factory=list)

    def enter(self, target: MxTarget, /) -> bool:
        if target.host in self.free:
            self.inside.append(target.host)
        return target.host in self.free

    def leave(self, target: MxTarget, /) -> None:
        self.inside.remove(target.host)


async def test_an_address_without_room_is_passed_over_and_failures_give_their_place_back() -> None:
    bad, good = ScriptedMx({"banner": b"421 no\r\n"}), ScriptedMx()
    door = Door({"bad.test", "good.test"})
    async with listening(bad), listening(good):
        targets = [good.target("full.test"), bad.target("bad.test"), good.target("good.test")]
        targets[0] = MxTarget("full.test", "127.0.0.2", good.port)
        found = await Stand().opener.open(targets, source=SOURCE, settings=PATH, doorman=door)
        assert isinstance(found, Opened)
        await found.session.close()
    assert door.inside == ["good.test"]
    assert good.connections == 1


async def test_what_one_host_says_stands_for_nothing_while_another_has_no_room() -> None:
    bad = ScriptedMx({"banner": b"421 no\r\n"})
    async with listening(bad):
        targets = [bad.target("bad.test"), MxTarget("full.test", "127.0.0.2", 1)]
        found = await Stand().opener.open(
            targets, source=SOURCE, settings=PATH, doorman=Door({"bad.test"})
        )
    assert isinstance(found, NotOpened)
    assert (found.full, found.reply.code, len(found.tried)) == (True, 421, 1)


async def test_when_no_address_has_room_nothing_is_tried() -> None:
    target = MxTarget("mx.test", "127.0.0.1", 1)
    found = await Stand().opener.open([target], source=SOURCE, settings=PATH, doorman=Door(set()))
    assert isinstance(found, NotOpened)
    assert (found.full, found.tried, found.reply.code) == (True, (), 0)


@dataclass
class SilentMx(ScriptedMx):
    """Says nothing to who connects; `met` is set then."""

    met: asyncio.Event = field(default_factory=asyncio.Event)

    def _reply(self, verb: str) -> bytes:
        self.met.set()
        return b""


async def test_a_cancelled_attempt_gives_its_place_back() -> None:
    mx, door = SilentMx(), Door({"mx.test"})
    async with listening(mx):
        target = mx.target("mx.test")
        opening = asyncio.create_task(
            Stand().opener.open([target], source=SOURCE, settings=PATH, doorman=door)
        )
        await mx.met.wait()
        assert door.inside == ["mx.test"]
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await mx.quiet()
    assert door.inside == []


async def test_a_source_of_ipv4_alone_leaves_ipv6_hosts_for_later() -> None:
    found = await Stand().not_opened(MxTarget("mx.test", "::1", 1))
    assert (found.reply.code, found.reply.enhanced_text) == (451, "4.4.4")
    assert classify_reply(found.reply).verdict is Verdict.DEFERRED


async def test_an_ipv6_only_host_is_reached_from_a_source_that_has_ipv6() -> None:
    async with listening(ScriptedMx(), at="::1") as mx:
        source = replace(SOURCE, address6="::1")
        found = await Stand().opened(MxTarget("mx.test", "::1", mx.port), source=source)
        assert (await send(found.session)).code == 250
        await found.session.close()


@pytest.mark.parametrize(
    ("use", "family"), [(IpUse.IPV4_FIRST, "127.0.0.1"), (IpUse.IPV6_FIRST, "::1")]
)
async def test_the_family_that_the_path_prefers_is_tried_first(use: IpUse, family: str) -> None:
    async with listening(ScriptedMx()) as four, listening(ScriptedMx(), at="::1") as six:
        targets = [MxTarget("mx.test", "::1", six.port), four.target("mx.test")]
        source = replace(SOURCE, address6="::1")
        found = await Stand().opened(*targets, source=source, path=PathSettings(ip=use))
        await found.session.close()
    assert found.session.target.address == family


async def test_a_session_tells_how_it_is_protected(authority: Authority) -> None:
    stand = Stand(authority)
    async with listening(tls_host(authority.host(HOST))) as mx, listening(ScriptedMx()) as plain:
        session = (await stand.opened(mx.target(HOST), policy=sts())).session
        other = (await stand.opened(plain.target("plain.test"))).session
        await session.close()
        await other.close()
    assert (session.tls_version, session.tls_verified, session.tls) == ("TLSv1.3", True, True)
    assert session.tls_cipher.startswith("TLS_")
    assert (other.tls_version, other.tls_cipher, other.tls_verified) == ("", "", False)
    assert stand.watch.told == [
        ("example.org", "sts", "ok", ""),
        ("example.org", "no-policy-found", "starttls-not-supported", "plain.test"),
    ]


async def test_an_unchecked_certificate_does_not_count_as_verified() -> None:
    stand = Stand()
    async with listening(tls_host()) as mx:
        session = (await stand.opened(mx.target(HOST))).session
        await session.close()
    assert (session.tls, session.tls_verified) == (True, False)
    assert stand.watch.told == [("example.org", "no-policy-found", "ok", "")]


BAD = [
    ("not-trusted", TlsResult.CERTIFICATE_NOT_TRUSTED),
    ("mismatch", TlsResult.CERTIFICATE_HOST_MISMATCH),
    ("expired", TlsResult.CERTIFICATE_EXPIRED),
    ("none", TlsResult.STARTTLS_NOT_SUPPORTED),
    ("refused", TlsResult.VALIDATION_FAILURE),
    ("silent", TlsResult.VALIDATION_FAILURE),
]


def bad_host(kind: str, authority: Authority, stranger: Authority) -> ScriptedMx:
    match kind:
        case "not-trusted":
            return tls_host(stranger.host(HOST))
        case "mismatch":
            return tls_host(authority.host("other.example.org"))
        case "expired":
            return tls_host(authority.host(HOST, expired=True))
        case "refused":
            return ScriptedMx({"EHLO": TLS_OFFER, "STARTTLS": b"554 5.7.3 not today\r\n"})
        case "silent":
            return ScriptedMx({"EHLO": TLS_OFFER})  # says go ahead and speaks no TLS
        case _:
            return ScriptedMx()


@pytest.mark.parametrize("use", list(TlsUse))
@pytest.mark.parametrize(("kind", "result"), BAD)
async def test_an_enforced_policy_that_is_not_met_defers_and_no_octet_of_mail_is_sent(
    kind: str, result: TlsResult, use: TlsUse, authority: Authority, stranger: Authority
) -> None:
    stand = Stand(authority, starttls=0.3)
    stand.broken.learn(HOST, TlsResult.VALIDATION_FAILURE)  # no reason to go in plain text here
    mx = bad_host(kind, authority, stranger)
    async with listening(mx):
        found = await stand.not_opened(mx.target(HOST), policy=sts(), path=PathSettings(tls=use))
        await mx.quiet()
    assert (found.reply.code, found.reply.enhanced_text) == (451, "4.7.5")
    assert "MTA-STS" in found.reply.text
    assert classify_reply(found.reply).verdict is Verdict.DEFERRED
    assert mx.connections == 1
    assert not {"MAIL", "RCPT", "DATA"} & set(mx.verbs())
    assert mx.messages == []
    assert stand.watch.told == [("example.org", "sts", str(result), HOST)]


async def test_a_host_that_meets_the_policy_is_used_after_one_that_does_not(
    authority: Authority, stranger: Authority
) -> None:
    stand = Stand(authority)
    async with (
        listening(tls_host(stranger.host(HOST))) as bad,
        listening(tls_host(authority.host("b.example.org"))) as good,
        listening(ScriptedMx()) as uncovered,
    ):
        targets = uncovered.target("mx.evil.test"), bad.target(HOST), good.target("b.example.org")
        found = await stand.opened(*targets, policy=sts())
        assert (await send(found.session)).code == 250
        await found.session.close()
    assert (uncovered.connections, bad.messages, len(good.messages)) == (0, [], 1)


async def test_a_policy_that_names_none_of_the_hosts_defers_without_connecting() -> None:
    stand = Stand()
    async with listening(ScriptedMx()) as mx:
        found = await stand.not_opened(mx.target("mx.evil.test"), policy=sts())
    assert (found.reply.code, found.reply.enhanced_text, mx.connections) == (451, "4.7.5", 0)
    assert stand.watch.told == [("example.org", "sts", "validation-failure", "mx.evil.test")]


@pytest.mark.parametrize(("kind", "result"), [*BAD, ("uncovered", TlsResult.VALIDATION_FAILURE)])
async def test_a_policy_in_testing_is_reported_and_mail_goes_all_the_same(
    kind: str, result: TlsResult, authority: Authority, stranger: Authority
) -> None:
    stand = Stand(authority, starttls=0.3)
    mx = bad_host(kind, authority, stranger)
    patterns = ("elsewhere.test",) if kind == "uncovered" else ("*.example.org",)
    demand = sts(StsMode.TESTING, *patterns)
    async with listening(mx):
        for turn in (1, 2):
            found = await stand.opened(mx.target(HOST), policy=demand)
            assert (await send(found.session)).code == 250
            assert len(mx.messages) == turn
            if turn == 1:
                first = mx.connections
            await found.session.close()
    assert mx.connections < 2 * first or kind == "uncovered"  # not tested at every connection
    assert stand.watch.told == [("example.org", "sts", str(result), HOST)] * 2


async def test_a_policy_in_testing_that_is_met_counts_as_a_success(authority: Authority) -> None:
    stand = Stand(authority)
    async with listening(tls_host(authority.host(HOST))) as mx:
        found = await stand.opened(mx.target(HOST), policy=sts(StsMode.TESTING))
        await found.session.close()
    assert (found.session.tls_verified, mx.connections) == (True, 1)
    assert stand.watch.told == [("example.org", "sts", "ok", "")]


async def test_a_broken_starttls_is_remembered_for_a_while() -> None:
    stand = Stand(starttls=0.3)
    async with listening(ScriptedMx({"EHLO": TLS_OFFER})) as mx:
        counts = []
        for wait in (0, 0, 101):
            stand.clock.now += wait
            found = await stand.opened(mx.target(HOST))
            assert (await send(found.session)).code == 250
            await found.session.close()
            counts.append((mx.connections, mx.verbs().count("STARTTLS")))
    assert counts == [(2, 1), (3, 1), (5, 2)]
    assert {result for _, _, result, _ in stand.watch.told} == {"validation-failure"}
    assert len(stand.watch.told) == 3


@pytest.mark.parametrize("use", [TlsUse.REQUIRED, TlsUse.VERIFIED])
async def test_required_tls_and_a_host_without_starttls_defers(use: TlsUse) -> None:
    stand = Stand()
    async with listening(ScriptedMx()) as mx:
        found = await stand.not_opened(mx.target(HOST), path=PathSettings(tls=use))
        await mx.quiet()
    assert (found.reply.code, found.reply.enhanced_text) == (451, "4.7.5")
    assert "MAIL" not in mx.verbs()


async def test_required_tls_takes_any_certificate_and_verified_does_not(
    authority: Authority, stranger: Authority
) -> None:
    stand = Stand(authority)
    async with listening(tls_host(stranger.host(HOST))) as mx:
        found = await stand.opened(mx.target(HOST), path=PathSettings(tls=TlsUse.REQUIRED))
        await found.session.close()
        refused = await stand.not_opened(mx.target(HOST), path=PathSettings(tls=TlsUse.VERIFIED))
    assert found.session.tls
    assert refused.reply.enhanced_text == "4.7.5"


def test_a_private_authority_for_relays_does_not_unseat_the_public_ones(
    stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = an_authority(tmp_path).file  # contexts are kept by file: nobody else's must change
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.file))  # what the system trusts
    for policy in (TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT):
        assert len(tls_context(policy, private).get_ca_certs()) == 1
        assert len(tls_context(policy, private, public=True).get_ca_certs()) > 1


async def test_a_path_without_tls_does_not_even_ask() -> None:
    stand = Stand()
    async with listening(tls_host()) as mx:
        found = await stand.opened(mx.target(HOST), path=PathSettings(tls=TlsUse.NONE))
        await found.session.close()
    assert "STARTTLS" not in mx.verbs()
    assert stand.watch.told == []


async def test_an_open_session_carries_the_mail_of_other_domains_if_it_is_safe_enough(
    authority: Authority,
) -> None:
    stand = Stand(authority)
    policy = HostPolicy("other.test", StsPolicy(StsMode.ENFORCE, 60, (HOST,)))
    async with listening(tls_host(authority.host(HOST))) as mx:
        loose = (await stand.opened(mx.target(HOST))).session
        safe = (await stand.opened(mx.target(HOST), policy=sts())).session
        stand.watch.told.clear()

        def may(session: object, demand: HostPolicy | None) -> bool:
            return stand.opener.may_carry(
                session,  # type: ignore[arg-type]
                settings=PATH,
                policy=demand,
                domain="other.test",
            )

        opened_for = {"settings": PATH, "policy": sts(), "domain": "example.org"}
        assert stand.opener.may_carry(safe, **opened_for)  # type: ignore[arg-type]
        assert stand.watch.told == []  # it was counted when it was opened
        assert (may(loose, policy), may(loose, None)) == (False, True)
        assert [may(safe, policy), may(safe, policy)] == [True, True]
        await loose.close()
        await safe.close()
    assert stand.watch.told == [
        ("other.test", "no-policy-found", "ok", ""),
        ("other.test", "sts", "ok", ""),
    ]


async def test_a_relay_has_its_own_demands_and_is_not_counted() -> None:
    stand = Stand()
    relay = Relay("relay.test", 25, TlsPolicy.OPPORTUNISTIC)
    async with listening(ScriptedMx()) as mx:
        found = await stand.opened(
            mx.target("relay.test"),
            policy=sts(),
            relay=relay,
            path=PathSettings(tls=TlsUse.REQUIRED),
        )
        await found.session.close()
    assert stand.watch.told == []


async def test_a_relay_that_refuses_our_login_is_left_alone_for_a_while() -> None:
    stand = Stand()
    offer = b"250-relay\r\n250 AUTH CRAM-MD5\r\n"
    relay = Relay("relay.test", 25, TlsPolicy.OPPORTUNISTIC, Login("ann", "wrong"))
    async with listening(ScriptedMx({"EHLO": offer, "AUTH": b"535 5.7.8 no\r\n"})) as mx:
        for now in (0, 1):
            stand.clock.now += now
            found = await stand.not_opened(mx.target("relay.test"), relay=relay)
            assert (found.reply.code, found.reply.phase) == (535, "AUTH")
    assert mx.connections == 1
