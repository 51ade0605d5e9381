"""What is counted of opens and clicks: all, the first ones, people's, and nothing twice."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_webhooks import consumers

from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts, dump_event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.visit import Verdict, is_person
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.notifying import MemoryCounters, MemoryFirstViews
from mailroom.usecases.record import count, record

SERVER = ServerId("abcdefghij")
HOUR = 500_000


def hit(name, type_=EventType.OPENED, verdict=Verdict.PERSON, index=0):
    key = DeliveryKey(SERVER, 7, index)
    url = "https://x.test/" if type_ is EventType.CLICKED else ""
    view = ViewFacts("", "", url, verdict=str(verdict))
    # A repeated event is the same in all it says, so the verdict stands in the name too.
    return Event(f"{key}/{type_}/{name}{verdict}", type_, key, HOUR * 3600.0, view=view)


class Recorder:
    def __init__(self):
        self.ledger, self.views, self.counters = (
            MemoryLedger(),
            MemoryFirstViews(),
            MemoryCounters(),
        )

    def take(self, *events):
        batch = [record(event, self.ledger, self.views) for event in events]
        count([new for new in batch if new], self.counters)

    @property
    def totals(self):
        return self.counters.total(SERVER, HOUR)


@pytest.fixture
def recorder():
    return Recorder()


def test_total_unique_and_human_are_counted_apart(recorder):
    recorder.take(
        hit(1, verdict=Verdict.MACHINE_OPEN),
        hit(2),
        hit(3),
        hit(4, index=1, verdict=Verdict.PREFETCH),
        hit(5, EventType.CLICKED),
    )
    assert recorder.totals == {
        "opened": 4,
        "opened_unique": 2,
        "opened_human": 2,
        "opened_human_unique": 1,
        "clicked": 1,
        "clicked_unique": 1,
        "clicked_human": 1,
        "clicked_human_unique": 1,
    }
    assert recorder.counters.updates == 1


def test_an_attempt_is_counted_by_its_type_alone(recorder):
    key = DeliveryKey(SERVER, 7, 0)
    sent = Event("s", EventType.SENT, key, HOUR * 3600.0, AttemptFacts(1, "said"))
    recorder.take(sent)
    assert recorder.totals == {"sent": 1}


def test_one_that_nobody_has_judged_counts_as_human(recorder):
    recorder.take(hit(1, verdict=""))
    assert recorder.totals["opened_human_unique"] == 1


def test_a_redelivered_event_counts_once_in_each(recorder):
    for _ in range(3):
        recorder.take(hit(1))
    assert recorder.totals == dict.fromkeys(
        ("opened", "opened_unique", "opened_human", "opened_human_unique"), 1
    )


class TornLedger(MemoryLedger):
    """Fails before it has written, once."""

    torn = True

    def record(self, event):
        if self.torn:
            self.torn = False
            raise ConnectionError("no table")
        return super().record(event)


def test_a_failure_between_first_view_and_history_loses_no_unique(recorder):
    recorder.ledger = TornLedger()
    with pytest.raises(ConnectionError):
        recorder.take(hit(1))
    recorder.take(hit(1), hit(2))
    assert recorder.totals == {
        "opened": 2, "opened_unique": 1, "opened_human": 2, "opened_human_unique": 1
    }  # fmt: skip


class BrokenViews(MemoryFirstViews):
    def first_view(self, event):
        raise ConnectionError("no table")


def test_without_first_views_the_event_stays_in_the_queue():
    ledger, counters = MemoryLedger(), MemoryCounters()
    body = json.dumps(dump_event(hit(1)))
    batch = {"Records": [{"messageId": "m", "body": body}]}
    report = consumers.record(batch, ledger, BrokenViews(), counters)
    assert report == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert ledger.history(hit(1).key) == []
    consumers.record(batch, ledger, MemoryFirstViews(), counters)
    assert counters.total(SERVER, HOUR)["opened_unique"] == 1


hits = st.builds(
    hit,
    st.integers(0, 20),
    st.sampled_from([EventType.OPENED, EventType.CLICKED]),
    st.sampled_from(list(Verdict)),
    st.integers(0, 2),
)


@settings(max_examples=80)
@given(st.lists(hits, max_size=30))
def test_counts_are_what_the_history_says(events):
    recorder = Recorder()
    recorder.take(*events)
    known = {event.id: event for event in events}.values()
    for type_ in (EventType.OPENED, EventType.CLICKED):
        every = [event for event in known if event.type is type_]
        human = [event for event in every if is_person(event.view)]
        expected = {
            f"{type_}": len(every),
            f"{type_}_unique": len({event.key for event in every}),
            f"{type_}_human": len(human),
            f"{type_}_human_unique": len({event.key for event in human}),
        }
        assert {name: recorder.totals.get(name, 0) for name in expected} == expected
