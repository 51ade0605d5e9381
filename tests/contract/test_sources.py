"""Pools, addresses and rules as hosts read them: one suite for the fakes and for the tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mailroom.adapters.dynamo_migration import DirectoryWalk
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.dynamo_sources import DynamoPoolRules, DynamoSources
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import ServerId
from mailroom.domain.sending.pool_choice import PoolRuleSet
from mailroom.domain.sending.source import AddressState, Fleet, PoolFacts, SourceAddress
from mailroom.domain.sending.sources import PARTITION
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS, POOL_RULE
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.stream import STREAM
from mailroom.domain.tenancy.record import Change, Place
from mailroom.domain.tenancy.resource import PLATFORM, Resource, ResourceKind
from mailroom.fakes.sources import MemoryPoolRules, MemorySources
from mailroom.ports.pool_rules import PoolRules
from mailroom.ports.sources import Sources
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.runtime_rows import WriteRuntimeRows

ACTOR = Actor("platform", "key", "test")


@dataclass
class Register:
    """The real register on the emulator's table."""

    registrar: Registrar
    rows: type[DirectoryRow]

    def make(self, kind: ResourceKind, parent: str, id_: str = "", **fields: object) -> Resource:
        return self.registrar.create(
            kind, parent, fields, actor=ACTOR, organisation="org_1", id_=id_
        )


@pytest.fixture
def register(request: pytest.FixtureRequest) -> Register:
    cloud = request.getfixturevalue("cloud")
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    registrar = Registrar(DynamoRegistry(rows), SystemClock(), SystemChance(), "test")
    return Register(registrar, rows)


FLEET = Fleet(
    {
        "pool_a": PoolFacts("pool_a", "mixed", "pool_b", name="A", default=True),
        "pool_b": PoolFacts(
            "pool_b", "broadcast", prefer_ipv6=True, name="B", organisations=frozenset({"org_1"})
        ),
    },
    (
        SourceAddress("ip_1", "pool_a", "one.mail.test", "192.0.2.1", state=AddressState.COLD),
        SourceAddress(
            "ip_2", "pool_b", "two.mail.test", "192.0.2.2", "2001:db8::2", "10.0.0.2",
            weight=0, plan="slow", host="h1",
        ),
    ),
)  # fmt: skip


def memory_sources(_: pytest.FixtureRequest) -> Sources:
    return MemorySources(FLEET)


def stored_sources(request: pytest.FixtureRequest) -> Sources:
    register: Register = request.getfixturevalue("register")
    for facts in FLEET.pools.values():
        owners = None if facts.organisations is None else sorted(facts.organisations)
        register.make(
            POOL, PLATFORM, facts.id, name=facts.name, purpose=facts.purpose,
            overflow=facts.overflow or None, prefer_ipv6=facts.prefer_ipv6,
            organisations=owners, default=facts.default,
        )  # fmt: skip
    for each in FLEET.addresses:
        register.make(
            POOL_ADDRESS, f"pool#{each.pool}", each.id, hostname=each.ehlo_name, ipv4=each.ipv4,
            ipv6=each.ipv6 or None, private=each.private or None, weight=each.weight,
            state=str(each.state), plan=each.plan or None, host=each.host or None,
        )  # fmt: skip
    return DynamoSources(register.rows)


BOTH = [memory_sources, pytest.param(stored_sources, marks=pytest.mark.emulator)]


@pytest.mark.parametrize("make", BOTH)
def test_pools_and_addresses_are_read_as_they_were_made(
    make: Callable[[pytest.FixtureRequest], Sources], request: pytest.FixtureRequest
) -> None:
    assert make(request).read() == FLEET


@pytest.mark.emulator
def test_an_address_that_changes_or_goes_is_seen_at_once(register: Register) -> None:
    sources = DynamoSources(register.rows)
    assert sources.read() == Fleet()
    pool = register.make(POOL, PLATFORM, name="A")
    fields = {"hostname": "one.mail.test", "ipv4": "192.0.2.1", "state": "warm"}
    made = register.make(POOL_ADDRESS, pool.owner, **fields)
    changed = register.registrar.update(
        POOL_ADDRESS, made, {**fields, "state": "draining"}, actor=ACTOR
    )
    assert [each.state for each in sources.read().addresses] == [AddressState.DRAINING]
    register.registrar.delete(POOL_ADDRESS, changed, actor=ACTOR)
    assert sources.read().of(pool.id) == ()
    register.registrar.restore(POOL_ADDRESS, pool.owner, made.id, actor=ACTOR)
    assert [each.id for each in sources.read().of(pool.id)] == [made.id]


@pytest.mark.emulator
def test_a_pool_of_an_earlier_release_gets_its_rows_by_the_migration(
    register: Register, cloud: Any
) -> None:
    table = cloud.settings.resource("table", "directory")
    registry = register.registrar.registry
    pool = register.make(POOL, PLATFORM, name="A")
    made = register.make(POOL_ADDRESS, pool.owner, hostname="one.mail.test", ipv4="192.0.2.1")
    sources = DynamoSources(register.rows)
    before = sources.read()
    rows = [Place(PARTITION, f"pool#{pool.id}"), Place(PARTITION, f"address#{made.id}")]
    registry.write([Change(place, None) for place in rows])
    assert sources.read() == Fleet()
    work = WriteRuntimeRows(registry, DirectoryWalk(cloud.client("dynamodb"), table))
    for _ in range(2):
        planned = [work.plan(item) for item in work.batch(0, 1, "").items]
        for changes in planned:
            if changes is not None:
                work.apply(changes)
    assert not any(planned)
    assert sources.read() == before
    after = register.registrar.read(POOL_ADDRESS, pool.owner, made.id)
    assert (after.fields, after.updated_at) == (made.fields, made.updated_at)


def memory_rules(_: pytest.FixtureRequest) -> PoolRules:
    return MemoryPoolRules()


def stored_rules(request: pytest.FixtureRequest) -> PoolRules:
    return DynamoPoolRules(request.getfixturevalue("register").rows)


@pytest.mark.parametrize(
    "make", [memory_rules, pytest.param(stored_rules, marks=pytest.mark.emulator)]
)
def test_a_server_nobody_knows_has_no_rules(
    make: Callable[[pytest.FixtureRequest], PoolRules], request: pytest.FixtureRequest
) -> None:
    assert make(request).of(ServerId("nobody"), "org_0") == PoolRuleSet()


@pytest.mark.emulator
def test_rules_and_defaults_of_a_server_are_read(register: Register) -> None:
    server, organisation = ServerId("srvaaaaaaa"), "org_1"
    parent = f"organisation#{organisation}"
    register.make(
        ORGANISATION, PLATFORM, organisation, name="A", permalink="a", default_pool="pool_o"
    )
    register.make(
        SERVER, parent, server, name="S", permalink="s", token="abc123",
        organisation_permalink="a", pool="pool_s",
    )  # fmt: skip
    own = f"server#{server}"
    register.make(STREAM, own, "news", **{"class": "broadcast", "pool": "pool_n"})
    register.make(STREAM, own, "transactional", **{"class": "transactional", "pool": None})
    register.make(POOL_RULE, own, "pr_2", pool="pool_1", **{"from": ["A@B.test"], "to": []})
    register.make(POOL_RULE, own, "pr_3", pool="pool_2", tags=["x"], streams=["news"])
    register.make(POOL_RULE, parent, "pr_1", pool="pool_3", credentials=["crd_1"])
    found = DynamoPoolRules(register.rows).of(server, organisation)
    assert [(rule.id, rule.pool) for rule in found.server] == [
        ("pr_3", "pool_2"),
        ("pr_2", "pool_1"),
    ]
    assert found.server[1].senders == {"a@b.test"}
    assert found.server[0].tags == {"x"}
    assert found.server[0].streams == {"news"}
    assert [rule.credentials for rule in found.organisation] == [{"crd_1"}]
    assert found.streams == {"news": "pool_n"}
    assert (found.server_pool, found.organisation_pool) == ("pool_s", "pool_o")
