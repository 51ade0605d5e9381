"""Odd mail exchangers from the DNS to the final dot, with the local stack's name server."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from egress.core.mx import AddressGuard, Lookup, MxAnswer, Texts
from egress.opening import NotOpened, Opened, Opener, OpenerSettings
from egress.remembered import Remembered
from egress.resolver import MxResolver, ResolverSettings
from egress.source import Source
from mailroom.domain.outcome import BounceKind, Verdict, classify_reply
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.settings import PathSettings
from tests.egress.scripted_mx import ScriptedMx, listening
from tests.egress.sessions import send
from tests.support.name_servers import zone_server

FOUR = Source("out.example.com", "127.0.0.1")
BOTH = replace(FOUR, address6="::1")
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

ZONE: list[list[Any]] = [
    ["null.test", "MX", "0 ."],
    ["null.test", "A", "127.0.0.1"],
    ["alias.test", "MX", "10 mx-alias.test."],
    ["mx-alias.test", "CNAME", "mx.test."],
    ["domain-alias.test", "CNAME", "plain.test."],
    ["plain.test", "MX", "10 mx.test."],
    ["mx.test", "A", "127.0.0.1"],
    ["six.test", "MX", "10 mx6.test."],
    ["mx6.test", "AAAA", "::1"],
    ["private.test", "MX", "10 mx.test."],
    ["private.test", "MX", "20 inner.test."],
    ["private.test", "A", "203.0.114.1"],
    ["inner.test", "A", "10.0.0.1"],
    ["inner.test", "A", "169.254.169.254"],
    ["dead.test", "MX", "10 nowhere.test."],
    ["dead.test", "A", "203.0.114.1"],
    ["implicit.test", "A", "127.0.0.1"],
    ["_mta-sts.plain.test", "TXT", "v=STSv1; id=1"],
    ["_mta-sts.alias.test", "CNAME", "_mta-sts.plain.test."],
]


def a_resolver(name_server: str, **more: Any) -> MxResolver:
    settings = ResolverSettings((name_server,), AddressGuard(LOOPBACK), ipv6=True, timeout=1.0)
    return MxResolver(replace(settings, **more), clock=lambda: 0.0)


def an_opener() -> Opener:
    return Opener(OpenerSettings(), Remembered(60, clock=lambda: 0.0), clock=lambda: 0.0)


async def found(domain: str, **more: Any) -> MxAnswer:
    with zone_server(ZONE) as server:
        return await a_resolver(server.address, **more).hosts(domain)


async def opened(domain: str, source: Source, **more: Any) -> Opened | NotOpened:
    answer = await found(domain, **more)
    assert answer.refusal is None
    return await an_opener().open(answer.targets, source=source, settings=PathSettings())


async def delivered(domain: str, source: Source = BOTH, *, at: str = "127.0.0.1") -> SmtpReply:
    async with listening(ScriptedMx(), at=at) as mx:
        result = await opened(domain, source, port=mx.port)
        assert isinstance(result, Opened)
        reply = await send(result.session)
        await result.session.close()
    assert len(mx.messages) == 1
    return reply


@pytest.mark.parametrize(
    "domain", ["alias.test", "domain-alias.test", "plain.test", "implicit.test"]
)
async def test_mail_reaches_hosts_behind_aliases(domain: str) -> None:
    assert (await delivered(domain)).code == 250


async def test_an_ipv6_only_host_gets_mail_from_a_source_that_has_ipv6() -> None:
    assert (await delivered("six.test", at="::1")).code == 250


async def test_an_ipv6_only_host_waits_for_another_source_where_this_one_has_none() -> None:
    result = await opened("six.test", FOUR)
    assert isinstance(result, NotOpened)
    assert (result.reply.code, result.reply.enhanced_text, result.tried) == (451, "4.4.4", ())


@pytest.mark.parametrize(
    ("domain", "more", "code", "enhanced"),
    [
        ("null.test", {}, 556, "5.1.10"),
        ("private.test", {"guard": AddressGuard()}, 550, "5.4.4"),
        ("dead.test", {}, 550, "5.4.4"),
        ("six.test", {"ipv6": False}, 550, "5.4.4"),
        ("unknown.test", {}, 550, "5.1.2"),
    ],
)
async def test_mail_bounces_at_once_where_there_is_nobody_to_connect_to(
    domain: str, more: dict[str, Any], code: int, enhanced: str
) -> None:
    answer = await found(domain, **more)
    assert answer.targets == ()
    assert answer.refusal is not None
    assert (answer.refusal.code, answer.refusal.enhanced_text) == (code, enhanced)
    assert classify_reply(answer.refusal).verdict is Verdict.BOUNCED
    assert classify_reply(answer.refusal).bounce in (BounceKind.HARD, BounceKind.SOFT)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("_mta-sts.plain.test", Texts(Lookup.FOUND, ("v=STSv1; id=1",))),
        ("_mta-sts.alias.test", Texts(Lookup.FOUND, ("v=STSv1; id=1",))),
        ("plain.test", Texts(Lookup.EMPTY)),
        ("_mta-sts.unknown.test", Texts(Lookup.ABSENT)),
    ],
)
async def test_text_records_are_read_behind_aliases(name: str, texts: Texts) -> None:
    with zone_server(ZONE) as server:
        answer = await a_resolver(server.address).texts(name)
    assert replace(answer, ttl=texts.ttl) == texts


async def test_a_name_server_that_is_not_there_is_a_failure() -> None:
    with zone_server(ZONE) as server:
        gone = server.address
    answer = await a_resolver(gone, timeout=0.1, lifetime=0.2).texts("plain.test")
    assert answer.lookup is Lookup.FAILED
