"""Finding messages: fake and adapter find the same ones in the same order."""

from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_ledger import DynamoDueWork, DynamoLedger
from mailroom.adapters.dynamo_search import MAX_DAYS, DynamoSearch
from mailroom.adapters.gathered_ledger import GatheredLedger
from mailroom.adapters.names import SHARDS
from mailroom.adapters.tables import WatchRow, bound, mail_tables
from mailroom.domain.hold import Hold, put_on_hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, DeliveryKey, ServerId
from mailroom.domain.search_keys import DAY_SECONDS
from mailroom.domain.stored_message import Place
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.search import MemorySearch
from mailroom.ports.search import By, Span, Where
from tests.support.many_messages import NOW, SERVER, made_delivery, made_submission

OTHER = ServerId("bbbbbbbbbb")
ALWAYS = Span(NOW - 60 * DAY_SECONDS, NOW + DAY_SECONDS)
FAKE_AND_ADAPTER = [
    "memory",
    pytest.param("dynamo", marks=pytest.mark.emulator),
    pytest.param("gathered", marks=pytest.mark.emulator),
]


@pytest.fixture(params=FAKE_AND_ADAPTER)
def ports(request):
    """(Ledger, DueWork, Search) over the same rows."""
    if request.param == "memory":
        memory = MemoryLedger()
        return memory, memory, MemorySearch(memory)
    cloud = request.getfixturevalue("cloud")
    tables = mail_tables(cloud.settings)
    watches = bound(WatchRow, cloud.settings.resource("table", "due"))
    dynamodb = cloud.client("dynamodb")
    ledger = DynamoLedger(tables, watches)
    if request.param == "gathered":
        ledger = GatheredLedger(tables, watches, dynamodb)
    return ledger, DynamoDueWork(tables, watches, SHARDS), DynamoSearch(tables, dynamodb)


@pytest.fixture
def ledger(ports):
    return ports[0]


@pytest.fixture
def search(ports):
    return ports[2]


def store(ledger, number, at=NOW, recipients=("ann@x.test",), **changes):
    made = made_submission(number, at, recipients=len(recipients), **changes)
    rows = [made_delivery(made, i, name, state=State.QUEUED) for i, name in enumerate(recipients)]
    ledger.reserve(rows)
    ledger.commit(made)
    return made


def everything(search, where, span=ALWAYS, limit=100):
    """All messages as (number, index), by as many calls as it takes."""
    found, place, calls = [], None, 0
    while place is not None or not calls:
        page = search.newest(where, span, after=place, limit=limit)
        assert len(page.messages) <= limit
        assert len(page.messages) <= page.looked
        found += [(m.delivery.key.number, m.delivery.key.index) for m in page.messages]
        place, calls = page.place, calls + 1
        assert calls < 100
    return found


def test_a_message_is_found_with_all_that_is_known_of_it_but_its_body(ports):
    ledger, work, search = ports
    body = BodyRef(inline=b"packed")
    made = store(ledger, 7, tag="a", tags=("a", "b"), metadata={"order": "5"}, body=body)
    held = put_on_hold(ledger.delivery(made.key(0)), Hold.LIMIT, now=NOW, seconds=9.0)
    assert work.settle(ledger.delivery(made.key(0)), held.after, held.event)
    [found] = search.newest(Where(SERVER), ALWAYS).messages
    assert found.submission == replace(made, body=BodyRef())
    assert found.delivery == held.after
    assert found.last == held.event
    assert found.place == Place(round(NOW * 1000), 7, 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_size_give_the_same_messages_newest_first(ledger, search, limit):
    store(ledger, 5, NOW - 3 * DAY_SECONDS)
    store(ledger, 9, NOW - DAY_SECONDS, ["a@x.test", "b@x.test", "c@x.test", "d@x.test"])
    store(ledger, 6, NOW, ["a@x.test", "b@x.test"])
    store(ledger, 4, NOW)  # of the same moment
    store(ledger, 8, NOW, server=OTHER)
    expected = [(6, 1), (6, 0), (4, 0), (9, 3), (9, 2), (9, 1), (9, 0), (5, 0)]
    assert everything(search, Where(SERVER), limit=limit) == expected


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_recipient_is_found_however_the_address_is_written(ledger, search, limit):
    store(ledger, 5, NOW - 40 * DAY_SECONDS, ["Ann@X.test"])
    store(ledger, 6, NOW - 1, ["bob@x.test", "ann@x.test", "ANN@x.test"])
    store(ledger, 7, NOW, ["annette@x.test"])
    store(ledger, 8, NOW, server=OTHER)
    where = Where(SERVER, By.RECIPIENT, " aNN@x.TEST")
    assert everything(search, where, limit=limit) == [(6, 2), (6, 1), (5, 0)]


def test_a_message_id_is_found_with_and_without_brackets(ledger, search):
    long = "x" * 900 + "\u00fc@demo.test"
    store(ledger, 5, message_id=long)
    store(ledger, 6, NOW - 1, ["a@x.test", "b@x.test"], message_id="twice@demo.test")
    store(ledger, 7, NOW, message_id="twice@demo.test")
    store(ledger, 8, NOW, message_id=None)
    store(ledger, 9, NOW, message_id="twice@demo.test", server=OTHER)
    assert everything(search, Where(SERVER, By.MESSAGE_ID, f"<{long}>")) == [(5, 0)]
    twice = Where(SERVER, By.MESSAGE_ID, "twice@demo.test")
    assert everything(search, twice) == [(7, 0), (6, 1), (6, 0)]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_message_is_found_by_each_of_its_tags(ledger, search, limit):
    store(ledger, 5, NOW - 2 * DAY_SECONDS, tag="news", tags=("news", "may"))
    store(ledger, 6, NOW, ["a@x.test", "b@x.test"], tag="may", tags=("may", "news", "#1"))
    store(ledger, 7, NOW, tag="newsletter", tags=("newsletter",))
    store(ledger, 8, NOW, tag="news")  # stored before there could be several
    store(ledger, 9, NOW, tag="news", server=OTHER)
    for tag, expected in {
        "news": [(8, 0), (6, 1), (6, 0), (5, 0)],
        "may": [(6, 1), (6, 0), (5, 0)],
        "#1": [(6, 1), (6, 0)],
        "no": [],
    }.items():
        assert everything(search, Where(SERVER, By.TAG, tag), limit=limit) == expected


def test_a_tag_as_long_as_can_be_is_found(ledger, search):
    tag = "\U0001f4e7" * 100
    store(ledger, 5, tag=tag, tags=(tag, tag + "2"))
    assert everything(search, Where(SERVER, By.TAG, tag)) == [(5, 0)]
    assert everything(search, Where(SERVER, By.TAG, tag + "2")) == [(5, 0)]


@pytest.mark.parametrize("by", By)
def test_what_is_not_committed_is_not_found(ledger, search, by):
    value = {By.RECIPIENT: "ann@x.test", By.MESSAGE_ID: "6@demo.test", By.TAG: "t"}.get(by, "")
    made = made_submission(6, NOW, tag="t")
    ledger.reserve([made_delivery(made, 0, "ann@x.test", state=State.QUEUED)])
    where = Where(SERVER, by, value)
    assert everything(search, where) == []
    ledger.commit(made)
    assert everything(search, where) == [(6, 0)]


@pytest.mark.parametrize("by", By)
def test_a_range_of_time_includes_its_beginning_and_not_its_end(ledger, search, by):
    value = {By.RECIPIENT: "ann@x.test", By.MESSAGE_ID: "m@x.test", By.TAG: "t"}.get(by, "")
    for number, at in enumerate([NOW - 2.001, NOW - 2, NOW - 1, NOW - 0.001, NOW], start=1):
        store(ledger, number, at, message_id="m@x.test", tag="t", tags=("t",))
    span = Span(NOW - 2, NOW)
    assert everything(search, Where(SERVER, by, value), span) == [(4, 0), (3, 0), (2, 0)]
    assert everything(search, Where(SERVER, by, value), span, limit=1) == [(4, 0), (3, 0), (2, 0)]
    assert everything(search, Where(SERVER, by, value), Span(NOW + 1, NOW - 1)) == []


@pytest.mark.parametrize("by", [By.TIME, By.RECIPIENT])
def test_any_place_will_do_to_go_on_from(ledger, search, by):
    store(ledger, 5, NOW - DAY_SECONDS, ["ann@x.test", "bob@x.test"])
    where = Where(SERVER, by, "ann@x.test" if by is By.RECIPIENT else "")
    at = round((NOW - DAY_SECONDS) * 1000)

    def after(*place):
        page = search.newest(where, ALWAYS, after=Place(*place))
        return [m.delivery.key.index for m in page.messages]

    whole = [0] if by is By.RECIPIENT else [1, 0]
    assert after(at + 9, 3, 0) == whole
    assert after(at, 6, 0) == whole
    assert after(at, 5, 1) == [0]
    assert after(at, 5, 1023) == whole
    assert after(at, 5, 0) == []
    assert after(at, 4, 9) == []
    assert after(0, 1, 0) == []
    assert after(253_402_300_799_999, (1 << 43) - 1, 1023) == whole


def test_a_delivery_that_is_gone_is_passed_over(ports):
    ledger, work, search = ports
    store(ledger, 5, NOW, ["ann@x.test", "bob@x.test"])
    work.discard(DeliveryKey(SERVER, 5, 1))
    page = search.newest(Where(SERVER), ALWAYS)
    assert [m.delivery.key.index for m in page.messages] == [0]
    assert page.looked == 2


def test_a_long_silence_is_crossed_in_several_calls(ledger, search):
    store(ledger, 5, NOW - 2 * MAX_DAYS * DAY_SECONDS)
    span = Span(NOW - 100 * DAY_SECONDS, NOW)
    assert everything(search, Where(SERVER), span) == [(5, 0)]
