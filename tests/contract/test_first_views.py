"""First opens and clicks: fake and adapter keep the same promises."""

import pytest

from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.dynamo_views import DynamoFirstViews
from mailroom.adapters.names import first_view_sk, mail_pk
from mailroom.adapters.tables import FirstViewRow, WatchRow, bound, mail_tables
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.statistic import FirstView
from mailroom.fakes.notifying import MemoryFirstViews

KEY = DeliveryKey(ServerId("abcdefghij"), 7, 3)
DAY = 86_400
AT = 20_000.0 * DAY


def opened(name, verdict="person", key=KEY, at=AT):
    view = ViewFacts("", "UA", verdict=verdict)
    return Event(f"{key}/opened/{name}", EventType.OPENED, key, at, view=view)


def clicked(name, verdict="person", key=KEY):
    view = ViewFacts("", "UA", "https://x.test/", verdict=verdict)
    return Event(f"{key}/clicked/{name}", EventType.CLICKED, key, AT, view=view)


@pytest.fixture
def rows(cloud):
    return bound(FirstViewRow, cloud.settings.resource("table", "mail"))


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def views(request):
    if request.param == "memory":
        return MemoryFirstViews()
    return DynamoFirstViews(request.getfixturevalue("rows"))


def test_the_first_is_first_and_the_second_is_not(views):
    assert views.first_view(opened(1)) == FirstView(hit=True, human=True)
    assert views.first_view(opened(2)) == FirstView(hit=False, human=False)


def test_the_first_persons_may_come_after_a_machines(views):
    assert views.first_view(opened(1, "machine_open")) == FirstView(hit=True, human=False)
    assert views.first_view(opened(2)) == FirstView(hit=False, human=True)
    assert views.first_view(opened(3)) == FirstView(hit=False, human=False)


def test_the_same_event_has_the_same_answer_again(views):
    first, second = opened(1, "machine_open"), opened(2)
    for _ in range(2):
        assert views.first_view(first) == FirstView(hit=True, human=False)
        assert views.first_view(second) == FirstView(hit=False, human=True)


def test_opens_clicks_and_deliveries_are_apart(views):
    neighbour = DeliveryKey(KEY.server, KEY.number, 4)
    for event in (opened(1), clicked(1), opened(1, key=neighbour)):
        assert views.first_view(event) == FirstView(hit=True, human=True)


def test_an_attempt_is_the_first_of_nothing(views):
    sent = Event("s", EventType.SENT, KEY, AT, AttemptFacts(1, "said"))
    assert views.first_view(sent) == FirstView()


@pytest.mark.emulator
def test_the_row_is_no_outbox_no_delivery_and_no_history(cloud, rows):
    views = DynamoFirstViews(rows)
    views.first_view(opened(1))
    place = mail_pk(KEY.server, KEY.number), first_view_sk(KEY.index)
    item = cloud.client("dynamodb").get_item(
        TableName=cloud.settings.resource("table", "mail"),
        Key=dict(zip(("pk", "sk"), ({"S": part} for part in place), strict=True)),
    )["Item"]
    assert set(item) == {"pk", "sk", "v", "ttl", "o", "oh"}
    ledger = DynamoLedger(mail_tables(cloud.settings), bound(WatchRow, "unused"))
    assert ledger.deliveries(KEY.server, KEY.number) == []
    assert list(ledger.history(KEY)) == []


@pytest.mark.emulator
def test_the_row_ages_with_the_last_day_it_was_seen_on(rows):
    views = DynamoFirstViews(rows)
    place = mail_pk(KEY.server, KEY.number), first_view_sk(KEY.index)
    ages = []
    for name, at in enumerate((AT, AT + DAY - 1, AT + DAY)):
        views.first_view(opened(name, at=at))
        ages.append(rows.get(*place).ttl)
    assert ages == [AT + 61 * DAY, AT + 61 * DAY, AT + 62 * DAY]
