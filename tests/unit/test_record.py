"""What is counted of opens and clicks: all, the first ones, people's, and nothing twice."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_webhooks import consumers

from mailroom.domain.event import (
    AttemptFacts,
    Event,
    EventType,
    ViewFacts,
    accepted,
    dump_event,
)
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.outcome import BounceKind
from mailroom.domain.provider import PROVIDERS, provider_of
from mailroom.domain.statistic import MAX_VALUES, NAMES, REST, Dimension, Slot
from mailroom.domain.visit import Verdict, is_person
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.notifying import MemoryFirstViews
from mailroom.ports.statistics import Grain
from mailroom.usecases.record import count, record
from tests.support.recording import Recording

SERVER = ServerId("abcdefghij")
HOUR = 500_000


def hit(name, type_=EventType.OPENED, verdict=Verdict.PERSON, index=0):
    key = DeliveryKey(SERVER, 7, index)
    url = "https://x.test/" if type_ is EventType.CLICKED else ""
    view = ViewFacts("", "", url, verdict=str(verdict))
    # A repeated event is the same in all it says, so the verdict stands in the name too.
    return Event(f"{key}/{type_}/{name}{verdict}", type_, key, HOUR * 3600.0, view=view)


class Recorder(Recording):
    def take(self, *events):
        mailings = self.mailings.of(events)
        batch = [record(event, self.ports, mailings.get(event.id)) for event in events]
        count([new for new in batch if new], self.ports)

    @property
    def totals(self):
        return self.hour(SERVER, HOUR)

    def slot(self, dimension, value):
        slot = Slot(SERVER, dimension, value)
        rows = self.statistics.read(slot, Grain.HOUR, HOUR, HOUR).counts
        day = self.statistics.read(slot, Grain.DAY, HOUR // 24, HOUR // 24).counts
        assert list(rows.values()) == list(day.values())
        return rows.get(HOUR, {})


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
    assert recorder.statistics.updates == 2  # the hour and its day


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

    def record(self, event, **more):
        if self.torn:
            self.torn = False
            raise ConnectionError("no table")
        return super().record(event, **more)


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
    recorder = Recorder()
    recorder.views = BrokenViews()
    body = json.dumps(dump_event(hit(1)))
    batch = {"Records": [{"messageId": "m", "body": body}]}
    report = consumers.record(batch, recorder.ports)
    assert report == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert recorder.ledger.history(hit(1).key) == []
    recorder.views = MemoryFirstViews()
    consumers.record(batch, recorder.ports)
    assert recorder.totals["opened_unique"] == 1


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


RECIPIENTS = ("a@gmail.com", "b@GoogleMail.com", "c@own.test")


def submission(number=7, **more):
    values = {
        "server": SERVER,
        "number": number,
        "accepted_at": HOUR * 3600.0,
        "expires_at": HOUR * 3600.0 + 9,
        "mail_from": "a@demo.test",
        "from_address": "a@demo.test",
        "sign_domain": "demo.test",
        "subject": "",
        "message_id": None,
        "tag": "welcome",
        "size": 1,
        "recipients": len(RECIPIENTS),
        "source": "api",
        "bounce": False,
        "body": BodyRef(),
    }
    return Submission(**values | more)


def accept(recorder, number=7, recipients=RECIPIENTS, **more):
    made = submission(number, recipients=len(recipients), **more)
    recorder.ledger.reserve(
        [
            Delivery(made.key(i), rcpt, State.QUEUED, made.accepted_at, made.expires_at)
            for i, rcpt in enumerate(recipients)
        ]
    )
    recorder.ledger.commit(made)
    return accepted(made.key(0), made.accepted_at)


def attempt(type_, index=0, number=7, **facts):
    key = DeliveryKey(SERVER, number, index)
    return Event(f"{key}/1/{type_}", type_, key, HOUR * 3600.0, AttemptFacts(1, "said", **facts))


def test_an_acceptance_counts_each_recipient_with_its_provider(recorder):
    event = accept(recorder)
    recorder.take(event)
    recorder.take(event)
    whole = {"accepted": 3, "submissions": 1}
    assert recorder.totals == whole
    assert recorder.slot(Dimension.DOMAIN, "demo.test") == whole
    assert recorder.slot(Dimension.TAG, "welcome") == whole
    assert recorder.slot(Dimension.STREAM, "transactional") == whole
    assert recorder.slot(Dimension.PROVIDER, "gmail") == {"accepted": 2, "submissions": 1}
    assert recorder.slot(Dimension.PROVIDER, "other") == {"accepted": 1, "submissions": 1}


def test_bounces_are_counted_by_class_and_watched(recorder):
    recorder.take(
        accept(recorder),
        attempt(EventType.BOUNCED, 0, bounce="hard", final=True),
        attempt(EventType.BOUNCED, 1, bounce="block", final=True),
        attempt(EventType.UNCERTAIN, 2, final=True),
    )
    assert recorder.totals == {
        "accepted": 3, "submissions": 1, "bounced": 2, "bounced_hard": 1, "bounced_block": 1,
        "uncertain": 1, "uncertain_final": 1,
    }  # fmt: skip
    assert recorder.slot(Dimension.PROVIDER, "gmail")["bounced"] == 2
    now = recorder.clock.now()
    assert recorder.watchlist.noted(now, now) == {SERVER}


def test_a_server_that_only_sends_is_not_watched(recorder):
    recorder.take(accept(recorder), attempt(EventType.SENT, final=True))
    assert recorder.watchlist.lists == {}


def test_a_simulated_bounce_alarms_nobody(recorder):
    recorder.take(
        accept(recorder, test=True), attempt(EventType.BOUNCED, bounce="hard", final=True)
    )
    assert recorder.totals["bounced_hard"] == 1
    assert recorder.watchlist.lists == {}


def test_a_message_counts_for_each_of_its_tags_once(recorder):
    recorder.take(accept(recorder, tag="a", tags=("a", "b")))
    assert recorder.slot(Dimension.TAG, "a") == recorder.slot(Dimension.TAG, "b") != {}


def test_an_event_of_a_message_that_is_gone_counts_for_its_server(recorder):
    recorder.take(hit(1))
    assert recorder.totals["opened"] == 1
    assert recorder.slot(Dimension.PROVIDER, "other") == {}


def test_a_flood_of_tags_ends_in_one_row(recorder):
    for number in range(MAX_VALUES + 20):
        recorder.take(accept(recorder, number, tag=f"t{number}"))
    assert recorder.slot(Dimension.TAG, "t0")["submissions"] == 1
    assert recorder.slot(Dimension.TAG, f"t{MAX_VALUES}") == {}
    assert recorder.slot(Dimension.TAG, REST)["submissions"] == 20
    assert recorder.totals["submissions"] == MAX_VALUES + 20


def test_a_batch_of_one_sender_takes_few_rows(recorder):
    events = [accept(recorder, number, ["x@gmail.com"]) for number in range(50)]
    sent = [attempt(EventType.SENT, number=number, final=True) for number in range(50)]
    recorder.take(*events, *sent)
    # Server, domain, tag, stream and one provider: an hour and a day of each, for 50 messages.
    assert recorder.statistics.updates == 10


def test_every_counter_has_a_name_that_readers_know():
    types = {str(type_) for type_ in EventType} - {"delayed"}  # counted as what it also is
    assert types <= set(NAMES)
    assert {f"bounced_{kind}" for kind in BounceKind} <= set(NAMES)


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("a@gmail.com", "gmail"),
        ("a@HOTMAIL.co.uk", "microsoft"),
        ("a@live.se", "microsoft"),
        ("a@yahoo.com.br", "yahoo"),
        ("a@yahoo.co.jp", "yahoo-japan"),
        ("me.com.", "apple"),
        ('"a@gmail.com"@own.test', "other"),
        ("a@sub.gmail.com", "other"),
        ("", "other"),
    ],
)
def test_a_domain_is_its_providers(address, provider):
    assert provider_of(address) == provider
    assert provider in PROVIDERS
