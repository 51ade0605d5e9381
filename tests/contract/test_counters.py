"""Statistics: fake and adapter keep the same promises."""

import pytest

from mailroom.adapters.dynamo_counters import DynamoCounters
from mailroom.adapters.tables import CounterRow, bound
from mailroom.domain.message import ServerId
from mailroom.fakes.memory import FixedChance
from mailroom.fakes.notifying import MemoryCounters

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")


@pytest.fixture
def dynamo_counters(emulator, monkeypatch):
    account = emulator.new_account()
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    emulator.session(account).client("dynamodb").create_table(
        TableName="counters",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    return DynamoCounters(bound(CounterRow, "counters"), FixedChance())


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def counters(request):
    if request.param == "memory":
        return MemoryCounters()
    return request.getfixturevalue("dynamo_counters")


def test_counts_add_up_over_all_shards(counters):
    for _ in range(20):
        counters.add(SERVER, 500_000, {"sent": 2, "clicked": 1})
    counters.add(SERVER, 500_000, {"deferred": 1})
    assert counters.total(SERVER, 500_000) == {"sent": 40, "clicked": 20, "deferred": 1}


def test_servers_and_hours_are_apart(counters):
    counters.add(SERVER, 500_000, {"sent": 1})
    counters.add(SERVER, 500_001, {"sent": 2})
    counters.add(OTHER, 500_000, {"sent": 4})
    assert counters.total(SERVER, 500_000) == {"sent": 1}
    assert counters.total(OTHER, 500_001) == {}


def test_nothing_to_add_is_no_update(counters):
    counters.add(SERVER, 500_000, {})
    assert counters.total(SERVER, 500_000) == {}


@pytest.mark.emulator
def test_a_busy_server_is_spread_over_several_items_that_age(dynamo_counters, emulator):
    for _ in range(40):
        dynamo_counters.add(SERVER, 500_000, {"sent": 1})
    rows = list(bound(CounterRow, "counters").scan())
    assert len(rows) == 4
    assert {row.ttl for row in rows} == {500_000 * 3600 + 400 * 86_400}
