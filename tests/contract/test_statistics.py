"""Statistics, the messages behind events, watched servers and facts of servers: fakes and adapters
keep the same promises."""

from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_counters import MoveCounters
from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.dynamo_mailings import DynamoMailings
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.dynamo_statistics import DynamoStatistics, DynamoWatchlist
from mailroom.adapters.tables import (
    CounterNamesRow,
    CounterRow,
    MailingRow,
    ServerFactRow,
    WatchedServerRow,
    WatchRow,
    bound,
    mail_tables,
)
from mailroom.domain.event import AttemptFacts, Event, EventType, accepted
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.server_fact import ServerFact
from mailroom.domain.statistic import MAX_VALUES, NAMES, Dimension, Mailing, Slot, Tally
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.server_facts import MemoryServerFacts
from mailroom.fakes.statistics import MemoryMailings, MemoryStatistics, MemoryWatchlist
from mailroom.ports.registry import ConflictError
from mailroom.ports.statistics import Grain

SERVER, OTHER = ServerId("abcdefghij"), ServerId("bbbbbbbbbb")
HOUR = 40_000 * 24 + 23  # far ahead: the emulator deletes rows whose ttl is over
NOW = HOUR * 3_600.0
WHOLE, GMAIL = Slot(SERVER), Slot(SERVER, Dimension.PROVIDER, "gmail")
FAKE_AND_ADAPTER = ["memory", pytest.param("dynamo", marks=pytest.mark.emulator)]


@pytest.fixture(params=FAKE_AND_ADAPTER)
def world(request):
    """(Statistics, Watchlist, Ledger, Mailings, ServerFacts)"""
    if request.param == "memory":
        ledger = MemoryLedger()
        return (
            MemoryStatistics(),
            MemoryWatchlist(),
            ledger,
            MemoryMailings(ledger),
            MemoryServerFacts(),
        )
    settings = request.getfixturevalue("cloud").settings
    counters, mail = settings.resource("table", "counters"), settings.resource("table", "mail")
    watches = bound(WatchRow, settings.resource("table", "due"))
    return (
        DynamoStatistics(bound(CounterRow, counters), bound(CounterNamesRow, counters)),
        DynamoWatchlist(bound(WatchedServerRow, counters)),
        DynamoLedger(mail_tables(settings), watches),
        DynamoMailings(bound(MailingRow, mail)),
        DynamoServerFacts(bound(ServerFactRow, mail)),
    )


@pytest.fixture
def statistics(world):
    return world[0]


def test_counts_add_up_by_hour_and_by_day(statistics):
    first = [Tally(WHOLE, HOUR, {"sent": 2, "clicked": 1}), Tally(GMAIL, HOUR, {"sent": 2})]
    assert statistics.add(first, "t1") == 4
    assert statistics.add([Tally(WHOLE, HOUR, {"sent": 1})], "t2") == 2
    assert statistics.add([Tally(WHOLE, HOUR + 1, {"held": 1})], "t3") == 2
    hours = statistics.read(WHOLE, Grain.HOUR, HOUR, HOUR + 1)
    assert hours.counts == {HOUR: {"sent": 3, "clicked": 1}, HOUR + 1: {"held": 1}}
    days = statistics.read(WHOLE, Grain.DAY, 40_000, 40_001)
    assert days.counts == {40_000: {"sent": 3, "clicked": 1}, 40_001: {"held": 1}}
    assert statistics.read(GMAIL, Grain.DAY, 40_000, 40_000).counts == {40_000: {"sent": 2}}


def test_two_hours_of_one_addition_are_both_in_their_day(statistics):
    tallies = [Tally(WHOLE, HOUR - 1, {"sent": 1}), Tally(WHOLE, HOUR, {"sent": 2})]
    assert statistics.add(tallies, "t1") == 3
    assert statistics.read(WHOLE, Grain.DAY, 40_000, 40_000).counts == {40_000: {"sent": 3}}


def test_an_addition_that_is_repeated_adds_nothing(statistics):
    tallies = [Tally(WHOLE, HOUR, {"sent": 1})]
    assert statistics.add(tallies, "t1") == 2
    assert statistics.add(tallies, "t1") == 0
    assert statistics.read(WHOLE, Grain.HOUR, HOUR, HOUR).counts == {HOUR: {"sent": 1}}


def test_servers_slots_and_ranges_are_apart(statistics):
    statistics.add([Tally(WHOLE, HOUR, {"sent": 1})], "t")
    statistics.add([Tally(Slot(OTHER), HOUR, {"sent": 2})], "t")
    statistics.add([Tally(Slot(SERVER, Dimension.TAG, "gmail"), HOUR, {"sent": 4})], "t")
    assert statistics.read(WHOLE, Grain.HOUR, 0, HOUR).counts == {HOUR: {"sent": 1}}
    assert statistics.read(WHOLE, Grain.HOUR, HOUR + 1, HOUR + 9).counts == {}
    assert statistics.read(WHOLE, Grain.HOUR, HOUR, HOUR - 1).counts == {}
    assert statistics.read(GMAIL, Grain.HOUR, 0, HOUR).counts == {}


def test_a_value_with_any_characters_has_its_own_counts(statistics):
    odd = Slot(SERVER, Dimension.TAG, "a#b c/\N{SNOWMAN}")
    statistics.add([Tally(odd, HOUR, {"sent": 1})], "t")
    assert statistics.read(odd, Grain.HOUR, HOUR, HOUR).counts == {HOUR: {"sent": 1}}
    assert statistics.read(replace(odd, value="a"), Grain.HOUR, HOUR, HOUR).counts == {}


def test_reading_costs_the_same_whatever_was_counted(statistics):
    def cost():
        return statistics.read(WHOLE, Grain.DAY, 40_000, 40_030).units

    everything = dict.fromkeys(NAMES, 1)
    for day in range(31):
        statistics.add([Tally(WHOLE, (40_000 + day) * 24, everything)], f"{day}")
    few = cost()
    many = dict.fromkeys(NAMES, 1_000)
    for day in range(31):
        statistics.add([Tally(WHOLE, (40_000 + day) * 24 + 5, many)], f"again {day}")
    assert 0 < few == cost() <= 3


def test_only_so_many_values_a_day_have_counts(statistics):
    def admit(value, day=40_000, server=SERVER):
        return statistics.admit(server, Dimension.TAG, day, value)

    assert all(admit(f"t{n}") for n in range(MAX_VALUES))
    assert not admit("one more")
    assert not admit("one more")
    assert admit("t0")
    assert admit("one more", day=40_001)
    assert admit("one more", server=OTHER)
    assert statistics.admit(SERVER, Dimension.DOMAIN, 40_000, "one more")
    assert len(statistics.values(SERVER, Dimension.TAG, range(40_000, 40_001))) == MAX_VALUES
    both = statistics.values(SERVER, Dimension.TAG, range(40_000, 40_002))
    assert set(both) == {f"t{n}" for n in range(MAX_VALUES)} | {"one more"}
    assert set(statistics.values(SERVER, Dimension.DOMAIN, range(40_000, 40_001))) == {"one more"}
    assert set(statistics.values(SERVER, Dimension.TAG, range(0))) == set()


@pytest.mark.emulator
def test_what_another_process_admitted_stays_admitted(cloud):
    name = cloud.settings.resource("table", "counters")
    rows = bound(CounterRow, name), bound(CounterNamesRow, name)
    one, two = DynamoStatistics(*rows), DynamoStatistics(*rows)
    assert all(one.admit(SERVER, Dimension.TAG, 1, f"t{n}") for n in range(MAX_VALUES))
    assert two.admit(SERVER, Dimension.TAG, 1, "t7")
    assert not two.admit(SERVER, Dimension.TAG, 1, "new")


@pytest.mark.emulator
def test_an_update_is_one_write_unit_and_rows_age(cloud):
    name = cloud.settings.resource("table", "counters")
    statistics = DynamoStatistics(bound(CounterRow, name), bound(CounterNamesRow, name))
    slot = Slot(SERVER, Dimension.DOMAIN, "d" * 64)
    statistics.add([Tally(slot, HOUR, dict.fromkeys(NAMES, 10**9))], "t")
    items = cloud.client("dynamodb").scan(TableName=name)["Items"]
    sizes = [sum(len(k) + len(next(iter(v.values()))) for k, v in item.items()) for item in items]
    assert len(sizes) == 2
    assert max(sizes) < 1024
    ttls = {item["sk"]["S"][0]: int(item["ttl"]["N"]) for item in items}
    assert ttls == {
        "h": HOUR * 3600 + 100 * 86_400,
        "d": 40_000 * 86_400 + 5 * 366 * 86_400,
    }


@pytest.mark.emulator
def test_counters_of_release_0_1_move_once(cloud):
    name, dynamodb = cloud.settings.resource("table", "counters"), cloud.client("dynamodb")
    statistics = DynamoStatistics(bound(CounterRow, name), bound(CounterNamesRow, name))
    statistics.add([Tally(WHOLE, HOUR, {"sent": 7})], "live")
    old = {"sk": {"S": "hour"}, "v": {"N": "1"}, "n_sent": {"N": "5"}, "n_opened": {"N": "1"}}
    keys = [f"{SERVER}#{HOUR}#{shard}" for shard in range(4)] + [f"{SERVER}#{HOUR + 1}#0"]
    for pk in keys:
        dynamodb.put_item(TableName=name, Item={"pk": {"S": pk}, **old})
    empty = {"pk": {"S": f"{SERVER}#{HOUR}#9"}, "sk": {"S": "hour"}}
    dynamodb.put_item(TableName=name, Item=empty)
    work = MoveCounters(dynamodb, name)
    planned = [work.plan(item) for item in work.batch(0, 1, "").items]
    assert len(planned) == 6
    for _ in range(2):
        for each in planned:
            work.apply(each)
    assert work.batch(0, 1, "").items == []
    hours = statistics.read(WHOLE, Grain.HOUR, HOUR, HOUR + 1).counts
    assert hours == {HOUR: {"sent": 27, "opened": 4}, HOUR + 1: {"sent": 5, "opened": 1}}
    days = statistics.read(WHOLE, Grain.DAY, 40_000, 40_001).counts
    assert days == {40_000: hours[HOUR], 40_001: hours[HOUR + 1]}


@pytest.mark.emulator
def test_an_old_row_that_is_still_counted_in_is_not_moved(cloud):
    name, dynamodb = cloud.settings.resource("table", "counters"), cloud.client("dynamodb")
    row = {"pk": {"S": f"{SERVER}#{HOUR}#0"}, "sk": {"S": "hour"}}
    dynamodb.put_item(TableName=name, Item={**row, "n_sent": {"N": "5"}})
    work = MoveCounters(dynamodb, name)
    (item,) = work.batch(0, 1, "").items
    dynamodb.put_item(TableName=name, Item={**row, "n_sent": {"N": "6"}})
    with pytest.raises(ConflictError):
        work.apply(work.plan(item))
    statistics = DynamoStatistics(bound(CounterRow, name), bound(CounterNamesRow, name))
    assert statistics.read(WHOLE, Grain.HOUR, HOUR, HOUR).counts == {}


def test_watched_servers_are_found_by_time(world):
    watchlist = world[1]
    for _ in range(2):
        watchlist.note(SERVER, NOW)
    watchlist.note(OTHER, NOW + 600)
    assert set(watchlist.noted(NOW + 100, NOW + 200)) == {SERVER}
    assert set(watchlist.noted(NOW + 100, NOW + 700)) == {SERVER, OTHER}
    assert set(watchlist.noted(NOW + 1_200, NOW + 1_300)) == set()


def submission(number, recipients=1, **more):
    return Submission(
        **more,
        server=SERVER,
        number=number,
        accepted_at=NOW,
        expires_at=NOW + 9,
        mail_from="a@demo.test",
        from_address="a@demo.test",
        sign_domain="demo.test",
        subject="s",
        message_id=None,
        tag="welcome",
        size=1,
        recipients=recipients,
        source="api",
        bounce=False,
        body=BodyRef(inline=b"x" * 3_000),
    )


def test_mailings_of_a_batch(world):
    _, _, ledger, mailings, _ = world
    recipients = [*[f"{n}@gmail.com" for n in range(120)], "x@own.test"]
    made = submission(7, len(recipients), tags=("welcome", "b"), stream="news", retention_days=90)
    ledger.reserve(
        [
            Delivery(made.key(n), rcpt, State.QUEUED, made.accepted_at, made.expires_at)
            for n, rcpt in enumerate(recipients)
        ]
    )
    ledger.commit(made)
    last = DeliveryKey(SERVER, 7, 120)
    sent = Event(f"{last}/1/sent", EventType.SENT, last, 1.0, AttemptFacts(1, "said"))
    gone = replace(sent, id="gone", key=DeliveryKey(SERVER, 8, 0))
    found = mailings.of([accepted(made.key(0), made.accepted_at), sent, gone])
    whole = Mailing("demo.test", ("welcome", "b"), "news", {"gmail": 120, "other": 1}, 90)
    assert found == {
        f"{made.key(0)}/accepted": whole,
        sent.id: replace(whole, providers={"other": 1}),
    }
    assert mailings.of([]) == {}


def test_facts_of_servers_are_told_once_and_listed_newest_first(world):
    facts = world[4]
    first = ServerFact("f1", "ServerBrakeWarned", SERVER, NOW + 1.5, {"reason": "r", "rate": 0.25})
    second = ServerFact("f2", "ServerBrakeHeld", SERVER, NOW + 2.5)
    assert facts.tell(first)
    assert not facts.tell(first)
    assert facts.tell(second)
    assert facts.tell(replace(first, id="f3", server=OTHER))
    assert facts.told(SERVER, limit=5) == [second, first]
    assert facts.told(SERVER, limit=1) == [second]
