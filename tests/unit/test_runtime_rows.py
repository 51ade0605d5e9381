"""Resources of an earlier release get the rows that hosts read."""

from mailroom.domain.sending.source import AddressState
from mailroom.domain.sending.sources import PARTITION, load_fleet
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.ports.migration import Batch
from mailroom.ports.registry import ConflictError
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.runtime_rows import WriteRuntimeRows

ACTOR = Actor("platform", "key", "test")


class Whole:
    """The Walk port: all rows at once."""

    def __init__(self, registry):
        self.registry = registry

    def batch(self, part, of, after):
        return Batch(list(self.registry._records.values()))


def made():
    registry = MemoryRegistry()
    registrar = Registrar(registry, FixedClock(1_700_000_000), FixedChance(), "test")
    pool = registrar.create(
        POOL, PLATFORM, {"name": "Main", "overflow": "pool_x"}, actor=ACTOR, organisation=""
    )
    address = registrar.create(
        POOL_ADDRESS,
        pool.owner,
        {"ipv4": "192.0.2.1", "hostname": "out1.mail.test", "weight": 50, "state": "warm"},
        actor=ACTOR,
        organisation="",
    )
    organisation = registrar.create(
        ORGANISATION,
        PLATFORM,
        {"name": "A", "permalink": "a", "default_pool": pool.id},
        actor=ACTOR,
        organisation="org_1",
        id_="org_1",
    )
    return registry, registrar, pool, address, organisation


def sources(registry):
    return load_fleet(registry.page(PARTITION, "", limit=100).records)


def aged(registry):
    """Take away what an earlier release did not write."""
    for record in registry.page(PARTITION, "", limit=100).records:
        registry.write([Change(record.place, None)])
    old = Record(Place("organisation#org_1"), {"suspended": None, "time_zone": "UTC"})
    registry.write([Change.put(old)])


def migrated(registry):
    work = WriteRuntimeRows(registry, Whole(registry))
    planned = [work.plan(item) for item in work.batch(0, 1, "").items]
    changes = [each for each in planned if each]
    for each in changes:
        work.apply(each)
    return len(changes)


def test_rows_that_are_missing_are_written_once():
    registry, _, pool, address, _ = made()
    before = sources(registry)
    assert before.pools[pool.id].overflow == "pool_x"
    assert before.addresses[0].id == address.id
    aged(registry)
    assert sources(registry).addresses == ()
    assert migrated(registry) == 3
    assert sources(registry) == before
    assert registry.read(Place("organisation#org_1")).body["default_pool"] == pool.id
    assert migrated(registry) == 0


def test_a_resource_that_goes_meanwhile_leaves_no_row():
    registry, registrar, pool, address, _ = made()
    aged(registry)
    work = WriteRuntimeRows(registry, Whole(registry))
    planned = work.plan(registry.read(address.place))
    registrar.delete(
        POOL_ADDRESS, registrar.read(POOL_ADDRESS, pool.owner, address.id), actor=ACTOR
    )
    try:
        work.apply(planned)
    except ConflictError:
        assert work.plan(Record(address.place, {})) is None
    else:
        raise AssertionError("it was written all the same")
    assert sources(registry).addresses == ()


def test_rows_say_what_hosts_need_and_have_defaults():
    registry, registrar, pool, address, _ = made()
    (found,) = sources(registry).addresses
    assert (found.pool, found.ehlo_name, found.ipv4) == (pool.id, "out1.mail.test", "192.0.2.1")
    assert (found.weight, found.state, found.binding) == (50, AddressState.WARM, "192.0.2.1")
    fields = {**address.fields, "private": "10.0.0.7", "plan": "slow", "host": "h1", "weight": 0}
    registrar.update(POOL_ADDRESS, address, fields, actor=ACTOR)
    (found,) = sources(registry).addresses
    assert (found.binding, found.plan, found.host, found.weight) == ("10.0.0.7", "slow", "h1", 0)
    bare = Record(Place(PARTITION, "address#ip_1"), {"pool": "p", "hostname": "h.test"})
    (found,) = load_fleet([bare]).addresses
    assert (found.state, found.weight) == (AddressState.COLD, 100)
