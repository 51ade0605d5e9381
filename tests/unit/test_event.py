"""Events as they are stored and sent."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.event import (
    AttemptFacts,
    Event,
    EventType,
    ViewFacts,
    dump_event,
    load_event,
)
from mailroom.domain.message import DeliveryKey, ServerId

KEY = DeliveryKey(ServerId("abcdefghij"), 77, 3)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ATTEMPTS = st.builds(
    AttemptFacts,
    attempt=st.integers(0, 99),
    details=TEXT,
    reply=TEXT,
    code=st.integers(0, 599),
    mx=TEXT,
    tls=st.booleans(),
    seconds=st.floats(0, 1e6),
    bounce=st.none() | st.sampled_from(["hard", "soft", "block"]),
    final=st.booleans(),
    category=TEXT,
    rule=TEXT,
    scope=TEXT,
    address=TEXT,
    site=TEXT,
    tls_version=TEXT,
    tls_cipher=TEXT,
)
EVENTS = st.builds(
    Event,
    id=TEXT,
    type=st.sampled_from(EventType),
    key=st.just(KEY),
    at=st.floats(0, 1e11),
    attempt=ATTEMPTS,
) | st.builds(
    Event,
    id=TEXT,
    type=st.sampled_from([EventType.OPENED, EventType.CLICKED]),
    key=st.just(KEY),
    at=st.floats(0, 1e11),
    view=st.builds(ViewFacts, TEXT, TEXT, TEXT),
)
OPENED = Event("x", EventType.OPENED, KEY, 5.0, view=ViewFacts("192.0.2.1", "agent"))


@given(EVENTS)
@settings(max_examples=100)
def test_an_event_survives_the_wire(event: Event) -> None:
    assert load_event(json.loads(json.dumps(dump_event(event)))) == event


def test_what_there_is_nothing_to_say_of_takes_no_room() -> None:
    plain = dump_event(Event("x", EventType.SENT, KEY, 5.0, AttemptFacts(1, "ok")))
    assert not {"category", "rule", "address", "site", "tls_cipher"} & plain["attempt"].keys()
    said = AttemptFacts(1, "no", category="spam-related", address="adr_1")
    told = dump_event(Event("x", EventType.BOUNCED, KEY, 5.0, said))["attempt"]
    assert (told["category"], told["address"]) == ("spam-related", "adr_1")


def test_an_older_reader_survives_a_newer_writer() -> None:
    stored = dump_event(OPENED)
    stored["colour"] = "red"
    stored["view"]["colour"] = "red"
    assert load_event(stored) == OPENED


def test_a_newer_reader_survives_an_older_writer() -> None:
    stored = dump_event(OPENED)
    del stored["view"]["url"]
    assert load_event(stored) == OPENED


@pytest.mark.parametrize(("name", "value"), [("v", 2), ("type", "vanished"), ("number", "x")])
def test_events_that_cannot_be_understood(name: str, value: object) -> None:
    with pytest.raises(ValueError):
        load_event({**dump_event(OPENED), name: value})


@pytest.mark.parametrize("name", ["v", "id", "type", "server", "at"])
def test_a_missing_field_is_named(name: str) -> None:
    stored = dump_event(OPENED)
    del stored[name]
    with pytest.raises(KeyError, match=name):
        load_event(stored)


def test_a_missing_fact_is_named() -> None:
    stored = dump_event(Event("x", EventType.SENT, KEY, 5.0, AttemptFacts(1, "ok")))
    del stored["attempt"]["details"]
    with pytest.raises(KeyError, match="details"):
        load_event(stored)
