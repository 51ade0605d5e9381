"""The AuthoritativeDns port: the fake, and dnspython against name servers on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from mailroom.adapters.dns_records import DnsRecords, DnsSettings, system_resolvers
from mailroom.domain.dns.answers import DnsAnswer, Kind, Lookup, Question, a, cname, mx, txt
from mailroom.fakes.dns import MemoryDns
from mailroom.ports.dns import AuthoritativeDns
from tests.support.name_servers import RunningServer, responding, zone_server

LONG = "v=DKIM1; k=rsa; p=" + "A" * 700
RECORDS = [
    ["example.com", "TXT", "one"],
    ["example.com", "TXT", 'v=spf1 "quoted"; -all'],
    ["example.com", "MX", "10 Mx1.Example.com."],
    ["example.com", "MX", "20 mx2.example.com."],
    ["example.com", "A", "192.0.2.1"],
    ["none.example.com", "MX", "0 ."],
    ["key._domainkey.example.com", "TXT", LONG],
    ["alias.example.com", "CNAME", "Second.example.com."],
    ["second.example.com", "CNAME", "example.com."],
    ["empty.example.com", "CNAME", "only-a.example.com."],
    ["only-a.example.com", "A", "192.0.2.2"],
    ["dangling.example.com", "CNAME", "nowhere.example.com."],
    ["loop.example.com", "CNAME", "loop2.example.com."],
    ["loop2.example.com", "CNAME", "loop.example.com."],
]
DELEGATION = [["example.com", "NS", "ns.example.net."], ["ns.example.net", "A", "127.0.0.1"]]
LOOPBACK = DnsSettings(("127.0.0.1:1",), networks=("127.0.0.0/8",), timeout=0.3, lifetime=3.0)


def memory() -> MemoryDns:
    dns = MemoryDns()
    found: dict[tuple[str, str], list[str]] = {}
    for name, kind, value in RECORDS:
        plain = value.removesuffix(".").lower() if kind in ("MX", "CNAME") else value
        found.setdefault((name, kind), []).append("0 ." if value == "0 ." else plain)
    for (name, kind), values in found.items():
        dns.publish(name, kind, *values)
    dns.broken = {"broken.example.com"}
    return dns


@pytest.fixture(params=["fake", "resolver", "authoritative"])
def records(request: pytest.FixtureRequest) -> Iterator[AuthoritativeDns]:
    if request.param == "fake":
        yield memory()
        return
    broken = {"servfail": ["broken.example.com"]}
    with ExitStack() as stack:
        if request.param == "resolver":  # the local stack: one server knows all, without NS
            server = stack.enter_context(zone_server(RECORDS, **broken))
            yield DnsRecords(replace(LOOPBACK, resolvers=(server.address,)))
            return
        server = stack.enter_context(zone_server(RECORDS, **broken))
        # Nothing but the delegation: an answer about anything else can only come from the zone.
        above = stack.enter_context(zone_server(DELEGATION))
        yield DnsRecords(replace(LOOPBACK, resolvers=(above.address,), port=server.port))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (txt("example.com"), DnsAnswer(Lookup.FOUND, ("one", 'v=spf1 "quoted"; -all'))),
        (mx("example.com"), DnsAnswer(Lookup.FOUND, ("10 mx1.example.com", "20 mx2.example.com"))),
        (mx("none.example.com"), DnsAnswer(Lookup.FOUND, ("0 .",))),
        (a("example.com"), DnsAnswer(Lookup.FOUND, ("192.0.2.1",))),
        (txt("key._domainkey.example.com"), DnsAnswer(Lookup.FOUND, (LONG,))),
        (txt("KEY._domainkey.example.com"), DnsAnswer(Lookup.FOUND, (LONG,))),
        (cname("alias.example.com"), DnsAnswer(Lookup.FOUND, ("second.example.com",))),
        (cname("example.com"), DnsAnswer(Lookup.EMPTY)),
        (
            a("alias.example.com"),
            DnsAnswer(Lookup.FOUND, ("192.0.2.1",), ("second.example.com", "example.com")),
        ),
        (txt("empty.example.com"), DnsAnswer(Lookup.EMPTY, aliases=("only-a.example.com",))),
        (txt("dangling.example.com"), DnsAnswer(Lookup.ABSENT, aliases=("nowhere.example.com",))),
        (txt("only-a.example.com"), DnsAnswer(Lookup.EMPTY)),
        (txt("absent.example.com"), DnsAnswer(Lookup.ABSENT)),
        (txt("_domainkey.example.com"), DnsAnswer(Lookup.EMPTY)),
    ],
    ids=str,
)
def test_answers(records: AuthoritativeDns, question: Question, answer: DnsAnswer) -> None:
    found = records.ask(question)
    assert replace(found, values=tuple(sorted(found.values))) == answer


@pytest.mark.parametrize("name", ["broken.example.com", "loop.example.com"])
def test_failures_are_answers_with_a_reason(records: AuthoritativeDns, name: str) -> None:
    answer = records.ask(txt(name))
    assert (answer.lookup, answer.values) == (Lookup.FAILED, ())
    assert answer.problem


# What only the adapter has.


def published(text: str) -> list[list[str]]:
    return [["example.com", "TXT", text], ["example.com", "A", "192.0.2.1"]]


def test_what_a_resolver_remembers_does_not_count() -> None:
    with (
        zone_server(published("new")) as zone,
        zone_server([*published("old"), *DELEGATION]) as resolver,
    ):
        records = DnsRecords(replace(LOOPBACK, resolvers=(resolver.address,), port=zone.port))
        assert records.ask(txt("example.com")).values == ("new",)
        assert records.ask(txt("gone.example.com")).lookup is Lookup.ABSENT
        assert ("example.com", "TXT", "udp") not in resolver.asked


def test_resolvers_answer_everything_if_that_is_wanted() -> None:
    with zone_server([*published("old"), *DELEGATION]) as resolver:
        records = DnsRecords(replace(LOOPBACK, resolvers=(resolver.address,), direct=False, port=1))
        assert records.ask(txt("example.com")).values == ("old",)
        assert resolver.asked == [("example.com", "TXT", "udp")]


def test_a_zone_that_cannot_be_reached_is_asked_through_resolvers() -> None:
    with zone_server([*published("known"), *DELEGATION]) as resolver:
        records = DnsRecords(replace(LOOPBACK, resolvers=(resolver.address,), port=1))
        assert records.ask(txt("example.com")).values == ("known",)


def test_name_servers_inside_private_networks_are_never_asked() -> None:
    with (
        zone_server(published("inside")) as zone,
        zone_server([*published("outside"), *DELEGATION]) as resolver,
    ):
        settings = replace(LOOPBACK, resolvers=(resolver.address,), port=zone.port, networks=())
        assert DnsRecords(settings).ask(txt("example.com")).values == ("outside",)
        assert zone.asked == []


def test_the_servers_of_a_zone_are_found_once_a_minute() -> None:
    now = 1_000.0
    with zone_server(RECORDS) as zone, zone_server(DELEGATION) as resolver:
        settings = replace(LOOPBACK, resolvers=(resolver.address,), port=zone.port)
        records = DnsRecords(settings, clock=lambda: now)
        for _ in range(3):
            records.ask(txt("example.com"))
        assert [q for q in resolver.asked if q[1] == "A"] == [("ns.example.net", "A", "udp")]
        now += 61.0
        records.ask(txt("example.com"))
        assert len([q for q in resolver.asked if q[1] == "A"]) == 2


def test_long_answers_come_over_tcp() -> None:
    many = [["example.com", "TXT", "x" * 250 + str(n)] for n in range(12)]
    with zone_server(many) as server:
        records = DnsRecords(replace(LOOPBACK, resolvers=(server.address,)))
        assert len(records.ask(txt("example.com")).values) == 12
        assert server.asked[-1] == ("example.com", "TXT", "tcp")


def test_answers_are_bounded() -> None:
    many = [["example.com", "TXT", f"{n:03d}" + "x" * 9_000] for n in range(5)]
    many += [["many.example.com", "TXT", f"{n:03d}"] for n in range(80)]
    with zone_server(many) as server:
        records = DnsRecords(replace(LOOPBACK, resolvers=(server.address,)))
        assert {len(text) for text in records.ask(txt("example.com")).values} == {8_192}
        assert len(records.ask(txt("many.example.com")).values) == 50


def test_an_alias_into_another_zone_is_asked_there() -> None:
    """Two owners: what the first one's server says about the second's names does not count."""
    first = [
        ["key.example.com", "CNAME", "key.other.example."],
        ["key.other.example", "TXT", "forged"],
    ]
    with zone_server(first) as zone, zone_server([["key.other.example", "TXT", "true"]]) as other:
        delegation = [*DELEGATION, ["key.other.example", "TXT", "true"]]
        with zone_server(delegation) as resolver:
            settings = replace(LOOPBACK, resolvers=(resolver.address,), port=zone.port)
            answer = DnsRecords(settings).ask(txt("key.example.com"))
        assert answer == DnsAnswer(Lookup.FOUND, ("true",), ("key.other.example",))
        assert other.asked == []


def replying(
    change: Callable[[dns.message.Message], object], *rrsets: str
) -> Callable[[bytes, str], bytes]:
    def respond(wire: bytes, _: str) -> bytes:
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        for text in rrsets:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", *text))
        change(response)
        return response.to_wire()

    return respond


def lame(response: dns.message.Message) -> None:
    response.flags &= ~dns.flags.AA


@pytest.mark.parametrize(
    ("respond", "problem"),
    [
        (replying(lambda r: r.set_rcode(dns.rcode.REFUSED)), "REFUSED"),
        (replying(lambda r: r.set_rcode(dns.rcode.FORMERR)), "FORMERR"),
        (lambda wire, _: wire[:2] + b"\xff", "no answer in time"),
        (lambda *_: None, "no answer in time"),
        (lambda *_: b"\x00", "no answer in time"),
    ],
)
def test_a_confused_resolver_is_a_failure(
    respond: Callable[[bytes, str], bytes | None], problem: str
) -> None:
    with responding(respond) as server:
        records = DnsRecords(replace(LOOPBACK, resolvers=(server.address,)))
        answer = records.ask(txt("example.com"))
    assert answer.lookup is Lookup.FAILED
    assert problem in answer.problem or "cannot be used" in answer.problem


def test_a_server_without_the_zone_is_not_believed() -> None:
    with (
        responding(replying(lame)) as zone,
        zone_server([*published("known"), *DELEGATION]) as resolver,
    ):
        settings = replace(LOOPBACK, resolvers=(resolver.address,), port=zone.port)
        assert DnsRecords(settings).ask(txt("example.com")).values == ("known",)


def two_resolvers(first: RunningServer, second: RunningServer) -> DnsRecords:
    both = (first.address, second.address)
    return DnsRecords(replace(LOOPBACK, resolvers=both, direct=False))


def test_the_second_server_is_asked_when_the_first_fails() -> None:
    with responding(lambda *_: None) as silent, zone_server(published("x")) as well:
        assert two_resolvers(silent, well).ask(txt("example.com")).values == ("x",)


def test_a_server_that_lags_behind_does_not_unmake_a_record() -> None:
    with zone_server([]) as stale, zone_server(published("x")) as fresh:
        assert two_resolvers(stale, fresh).ask(txt("example.com")).values == ("x",)
        assert two_resolvers(stale, fresh).ask(txt("no.example.com")).lookup is Lookup.ABSENT


def test_time_is_limited_over_all_servers_and_aliases() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    with zone_server(published("x")) as server:
        settings = replace(LOOPBACK, resolvers=(server.address,) * 9, lifetime=3.0)
        answer = DnsRecords(settings, clock=clock).ask(txt("gone.example.com"))
    assert answer.problem == "there was no time to ask"
    assert len(server.asked) <= 2


@pytest.mark.parametrize("name", ["a..example.com", "x" * 64 + ".example", "a." * 130 + "b"])
def test_what_is_no_name_fails(name: str) -> None:
    answer = DnsRecords(LOOPBACK).ask(Question(name, Kind.TXT))
    assert answer.problem == "it is no name the DNS could have"


@pytest.mark.parametrize("resolvers", [(), ("127.0.0.1",), ("x:0",)])
def test_resolvers_are_addresses_with_ports(resolvers: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"resolver|host:port"):
        DnsRecords(DnsSettings(resolvers))


def test_the_systems_resolvers_have_ports() -> None:
    assert all(each.endswith(":53") for each in system_resolvers())
