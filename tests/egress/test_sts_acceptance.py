"""MTA-STS from the DNS to the final dot: record, web server, policy, certificate, mail.

Acceptance: where a policy is enforced and a certificate is bad, mail waits and not an octet of it
has been sent.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Any

import pytest

from egress.connecting import TlsPolicy, tls_context
from egress.core.mx import AddressGuard
from egress.opening import NotOpened, Opened, Opener, OpenerSettings
from egress.remembered import Remembered
from egress.resolver import MxResolver, ResolverSettings
from egress.source import Source
from egress.sts_fetch import StsFetcher
from egress.sts_policies import StsPolicies
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.transport.tls_result import TlsResult
from mailroom.fakes.control import MemoryControl
from tests.egress.scripted_mx import ScriptedMx, listening
from tests.egress.sessions import TLS_OFFER, send
from tests.egress.tls_peers import Authority, Watch, an_authority
from tests.egress.web_policy import POLICY, page, web_server
from tests.support.name_servers import zone_server

ZONE: list[list[Any]] = [
    ["example.org", "MX", "10 mx.example.org."],
    ["mx.example.org", "A", "127.0.0.1"],
    ["mta-sts.example.org", "A", "127.0.0.1"],
    ["_mta-sts.example.org", "TXT", "v=STSv1; id=20270115;"],
]
NOW = 1_800_000_000.0
TESTING = POLICY.replace(b"enforce", b"testing")
ELSEWHERE = POLICY.replace(b"mx.example.org", b"mx.elsewhere.test")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("stranger"))


@dataclass
class World:
    """The internet of one domain, and a host of ours in it."""

    authority: Authority
    policy: bytes = POLICY
    web: ssl.SSLContext | None = None
    watch: Watch = field(default_factory=Watch)
    control: MemoryControl = field(default_factory=MemoryControl)

    @asynccontextmanager
    async def opening(self, mx: ScriptedMx) -> AsyncIterator[Opened | NotOpened]:
        """Look up everything about the domain and open a session for mail to it."""
        web = self.web or self.authority.host("mta-sts.example.org")
        with zone_server(ZONE) as dns, web_server(web, page(self.policy)) as (port, _):
            async with listening(mx):
                yield await self._opened(dns.address, port, mx.port)
                await mx.quiet()

    async def _opened(self, name_server: str, web_port: int, mx_port: int) -> Opened | NotOpened:
        networks = ("127.0.0.0/8",)
        guard = AddressGuard(tuple(map(ip_network, networks)))
        resolver = MxResolver(
            ResolverSettings((name_server,), guard, port=mx_port), clock=lambda: NOW
        )
        trust = tls_context(TlsPolicy.VERIFIED, self.authority.file)
        fetcher = StsFetcher(resolver, networks=networks, tls=trust, port=web_port)
        policies = StsPolicies(resolver, fetcher, self.control, self.watch, now=lambda: NOW)
        broken: Remembered[str, TlsResult] = Remembered(60, clock=lambda: NOW)
        opener = Opener(
            OpenerSettings(authorities=self.authority.file),
            broken,
            clock=lambda: NOW,
            watch=self.watch,
        )
        try:
            answer, policy = (
                await resolver.hosts("example.org"),
                await policies.policy("example.org"),
            )
            return await opener.open(
                answer.targets,
                source=Source("out.example.com", "127.0.0.1"),
                settings=PathSettings(),
                policy=policy,
                domain="example.org",
            )
        finally:
            fetcher.close()


def tls_host(context: ssl.SSLContext) -> ScriptedMx:
    return ScriptedMx({"EHLO": TLS_OFFER}, tls=context)


async def test_mail_goes_to_a_host_that_the_policy_names_with_a_good_certificate(
    authority: Authority,
) -> None:
    mx, world = tls_host(authority.host("mx.example.org")), World(authority)
    async with world.opening(mx) as found:
        assert isinstance(found, Opened)
        assert (await send(found.session)).code == 250
        assert (found.session.tls_verified, len(mx.messages)) == (True, 1)
        await found.session.close()
    assert world.watch.told == [("example.org", "sts", "ok", "")]


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("stranger", "certificate-not-trusted"),
        ("mismatch", "certificate-host-mismatch"),
        ("expired", "certificate-expired"),
        ("plain", "starttls-not-supported"),
        ("elsewhere", "validation-failure"),
    ],
)
async def test_mail_waits_where_an_enforced_policy_is_not_met(
    kind: str, result: str, authority: Authority, stranger: Authority
) -> None:
    world = World(authority, ELSEWHERE if kind == "elsewhere" else POLICY)
    match kind:
        case "stranger":
            mx = tls_host(stranger.host("mx.example.org"))
        case "mismatch":
            mx = tls_host(authority.host("mx.elsewhere.test"))
        case "expired":
            mx = tls_host(authority.host("mx.example.org", expired=True))
        case "plain":
            mx = ScriptedMx()
        case _:
            mx = tls_host(authority.host("mx.example.org"))
    async with world.opening(mx) as found:
        assert isinstance(found, NotOpened)
        assert (found.reply.code, found.reply.enhanced_text) == (451, "4.7.5")
        assert classify_reply(found.reply).verdict is Verdict.DEFERRED
    assert not {"MAIL", "RCPT", "DATA"} & set(mx.verbs())
    assert mx.messages == []
    assert world.watch.told == [("example.org", "sts", result, "mx.example.org")]


async def test_mail_goes_to_a_bad_certificate_where_the_policy_is_in_testing(
    authority: Authority, stranger: Authority
) -> None:
    mx, world = tls_host(stranger.host("mx.example.org")), World(authority, TESTING)
    async with world.opening(mx) as found:
        assert isinstance(found, Opened)
        assert (await send(found.session)).code == 250
        assert (found.session.tls, found.session.tls_verified) == (True, False)
        await found.session.close()
    assert world.watch.told == [("example.org", "sts", "certificate-not-trusted", "mx.example.org")]


async def test_an_enforced_policy_still_counts_when_its_web_server_is_somebody_elses(
    authority: Authority, stranger: Authority
) -> None:
    good, bad = (
        tls_host(authority.host("mx.example.org")),
        tls_host(stranger.host("mx.example.org")),
    )
    world = World(authority)
    async with world.opening(good) as found:
        assert isinstance(found, Opened)
        await found.session.close()
    attacked = replace(world, web=stranger.host("mta-sts.example.org"), policy=TESTING)
    async with attacked.opening(bad) as found:
        assert isinstance(found, NotOpened)
    assert bad.messages == []
