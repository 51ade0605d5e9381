"""Discovering, keeping and refreshing MTA-STS policies."""

import asyncio
from dataclasses import dataclass, field

import pytest

from egress.core.mx import Lookup, Texts
from egress.sts_fetch import StsFetchError
from egress.sts_policies import StsPolicies
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.sts import StsMode, StsPolicy
from mailroom.domain.transport.tls_result import TlsResult
from mailroom.fakes.control import MemoryControl
from tests.egress.tls_peers import Watch

DAY = 86_400.0
ENFORCE = StsPolicy(StsMode.ENFORCE, 7 * int(DAY), ("mx.example.org",))
OTHER = StsPolicy(StsMode.TESTING, 7 * int(DAY), ("mx2.example.org",))


@dataclass
class World:
    """One domain's record and web server, and the hosts that ask for them."""

    record: str = "v=STSv1; id=1"
    policy: StsPolicy | TlsResult = ENFORCE
    now: float = 1_800_000_000.0
    lookup: Lookup = Lookup.FOUND
    control: MemoryControl = field(default_factory=MemoryControl)
    watch: Watch = field(default_factory=Watch)
    asked: list[str] = field(default_factory=list)
    fetched: int = 0

    async def texts(self, name: str) -> Texts:
        self.asked.append(name)
        found = self.record and self.lookup is Lookup.FOUND
        return Texts(self.lookup, (self.record,), 600.0) if found else Texts(self.lookup)

    async def fetch(self, domain: str) -> StsPolicy:
        assert domain == "example.org"
        self.fetched += 1
        await asyncio.sleep(0)
        if isinstance(self.policy, TlsResult):
            raise StsFetchError(self.policy, "trouble")
        return self.policy

    def host(self) -> StsPolicies:
        return StsPolicies(self, self, self.control, self.watch, now=lambda: self.now)


async def asked(host: StsPolicies) -> StsPolicy | None:
    found = await host.policy("example.org")
    return found.sts if found else None


async def test_a_policy_is_fetched_once_and_kept() -> None:
    world = World()
    host = world.host()
    found = await asyncio.gather(*(asked(host) for _ in range(5)))
    assert found == [ENFORCE] * 5
    assert (world.asked, world.fetched) == (["_mta-sts.example.org"], 1)
    row = world.control.read(Place("sts", "example.org"))
    assert row is not None
    assert row.expires_at == world.now + ENFORCE.max_age


async def test_a_domain_without_a_record_asks_for_nothing_and_no_web_server_is_asked() -> None:
    world = World(record="v=spf1 -all")
    host = world.host()
    assert [await asked(host), await asked(host)] == [None, None]
    assert (len(world.asked), world.fetched, world.watch.told) == (1, 0, [])


@pytest.mark.parametrize("domain", ["", "a..b", "x" * 300, "example.org\n"])
async def test_what_is_no_domain_has_no_policy(domain: str) -> None:
    assert await World().host().policy(domain) is None


async def test_a_domain_is_looked_up_by_its_a_labels() -> None:
    world = World(record="")
    await world.host().policy("Bücher.example")
    assert world.asked == ["_mta-sts.xn--bcher-kva.example"]


async def test_a_policy_outlives_its_record_and_its_web_server() -> None:
    world = World()
    host = world.host()
    await asked(host)
    world.record, world.policy = "", TlsResult.STS_POLICY_FETCH_ERROR
    world.now += 6 * DAY
    assert await asked(host) == ENFORCE
    world.record = "v=STSv1; id=2"
    world.now += DAY / 2
    assert await asked(host) == ENFORCE
    assert world.watch.told == [("example.org", "sts", "sts-policy-fetch-error", "")]
    world.now += DAY
    assert await asked(host) is None


@pytest.mark.parametrize("lookup", [Lookup.FAILED, Lookup.ABSENT, Lookup.EMPTY])
async def test_another_host_knows_the_policy_although_the_record_is_suppressed(
    lookup: Lookup,
) -> None:
    world = World()
    await asked(world.host())
    world.lookup = lookup
    assert await asked(world.host()) == ENFORCE
    assert world.fetched == 1


async def test_a_new_id_brings_the_new_policy_at_once() -> None:
    world = World()
    host = world.host()
    await asked(host)
    world.record, world.policy = "v=STSv1; id=2", OTHER
    assert await asked(host) == ENFORCE  # the record is believed for its TTL
    world.now += 601
    assert await asked(host) == OTHER


async def test_mode_none_ends_a_policy() -> None:
    world = World()
    host = world.host()
    await asked(host)
    world.record, world.policy = "v=STSv1; id=2", StsPolicy(StsMode.NONE, 86_400)
    world.now += 601
    assert await asked(host) is None
    assert await asked(world.host()) is None
    assert world.fetched == 2


async def test_a_web_server_in_trouble_is_left_alone_for_five_minutes() -> None:
    world = World(policy=TlsResult.STS_WEBPKI_INVALID)
    host = world.host()
    assert [await asked(host) for _ in range(3)] == [None] * 3
    world.now += 601
    await asked(host)
    assert world.fetched == 2
    assert world.watch.told == [("example.org", "sts", "sts-webpki-invalid", "")] * 2


async def test_a_policy_that_ran_out_is_not_asked_for_at_every_mail() -> None:
    world = World(policy=StsPolicy(StsMode.ENFORCE, 0, ("mx.example.org",)))
    host = world.host()
    assert await asked(host) is not None
    world.now += 301
    world.policy = TlsResult.STS_POLICY_INVALID
    assert [await asked(host) for _ in range(3)] == [None] * 3
    assert (world.fetched, len(world.asked)) == (2, 2)


async def test_policies_are_refreshed_daily_by_one_host() -> None:
    world = World()
    one, two = world.host(), world.host()
    await asked(one)
    await asked(two)
    world.now += DAY / 2
    await one.refresh()
    assert world.fetched == 1
    world.now += DAY
    await one.refresh()
    await two.refresh()
    assert world.fetched == 2
    world.lookup = Lookup.FAILED
    world.now += 6 * DAY  # the first one would be over by now
    assert [await asked(one), await asked(two)] == [ENFORCE, ENFORCE]


async def test_a_refresh_that_fails_is_not_repeated_within_five_minutes() -> None:
    world = World()
    host = world.host()
    await asked(host)
    world.now += 2 * DAY
    world.policy = TlsResult.STS_POLICY_FETCH_ERROR
    for _ in range(3):
        await host.refresh()
    assert world.fetched == 2
    assert await asked(host) == ENFORCE


async def test_a_row_that_cannot_be_read_is_as_good_as_none() -> None:
    world = World()
    world.control.put(Record(Place("sts", "example.org"), {"fetched_at": 1.0, "policy": 7}))
    assert await asked(world.host()) == ENFORCE


class Broken(MemoryControl):
    def read(self, place: Place) -> Record | None:
        raise OSError("no table")

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        raise OSError("no table")


async def test_a_table_in_trouble_takes_no_policy_away() -> None:
    assert await asked(World(control=Broken()).host()) == ENFORCE


async def test_a_slow_web_server_does_not_keep_mail_waiting_and_its_policy_counts_later() -> None:
    world, gate, fetched = World(), asyncio.Event(), asyncio.Event()

    class Slow:
        async def fetch(self, domain: str) -> StsPolicy:
            await gate.wait()
            fetched.set()
            return ENFORCE

    def now() -> float:
        return world.now

    host = StsPolicies(world, Slow(), world.control, world.watch, now=now, patience=0.01)
    assert await asked(host) is None
    assert await asked(host) is None
    gate.set()
    await fetched.wait()
    await host.settled()
    assert await asked(host) == ENFORCE
    assert world.asked == ["_mta-sts.example.org"]


async def test_closing_stops_what_is_looked_up() -> None:
    world, gate = World(), asyncio.Event()

    class Waiting:
        async def texts(self, name: str) -> Texts:
            await gate.wait()
            return Texts(Lookup.EMPTY)

    host = StsPolicies(Waiting(), world, world.control, world.watch, now=lambda: 0.0)
    waiting = asyncio.create_task(host.policy("example.org"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await host.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
