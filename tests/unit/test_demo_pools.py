"""Pools of the local stack's demonstration, made on request."""

from pathlib import Path

import pytest

from egress.binding import LocalBinder
from localstack.config import Ports, StackConfig, read_config, write_config
from localstack.demo_pools import make_pools
from mailroom.domain.sending.sources import PARTITION, load_fleet
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.errors import AlreadyExistsError
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryRegistry
from mailroom.usecases.registrar import Registrar

ACTOR = Actor("local", "seed", "test")


async def test_each_stream_has_a_pool_of_addresses_that_this_machine_can_bind_to() -> None:
    registry = MemoryRegistry()
    registrar = Registrar(registry, FixedClock(1_700_000_000), FixedChance(), "test")
    for name, fields in BUILT_IN.items():
        registrar.create(STREAM, "server#demo", fields, actor=ACTOR, organisation="demo", id_=name)
    made = make_pools("demo", "mail.test", registrar, ACTOR)
    fleet = load_fleet(registry.page(PARTITION, "", limit=100).records)
    assert fleet.pools.keys() == set(made.values())
    for stream, pool in made.items():
        assert registrar.read(STREAM, "server#demo", stream).fields["pool"] == pool
        assert len(fleet.of(pool)) >= 2
    assert await LocalBinder().reach(fleet.addresses) == {each.id for each in fleet.addresses}
    with pytest.raises(AlreadyExistsError):
        make_pools("demo", "mail.test", registrar, ACTOR)


def test_a_stack_remembers_whether_it_has_pools(tmp_path: Path) -> None:
    for pools in (False, True):
        config = StackConfig(tmp_path, tmp_path, Ports(), pools=pools)
        write_config(config)
        assert read_config(tmp_path) == config
