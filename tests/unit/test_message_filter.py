"""Which messages a filter lets through."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message_filter import (
    MAX_TEXT,
    MAX_WORDS,
    MessageFilter,
    contains,
    matches,
    words,
)
from mailroom.domain.stored_message import StoredMessage
from tests.support.many_messages import NOW, made_delivery, made_submission

SUBMISSION = made_submission(
    5,
    NOW,
    subject="Your Stra\u00dfe invoice",
    mail_from="bounce@demo.test",
    from_address="Billing@demo.test",
    message_id="m1@demo.test",
    tag="may",
    tags=("may", "invoices"),
    stream="broadcast",
)
DELIVERY = made_delivery(SUBMISSION, 0, "Ann@x.test", state=State.DEFERRED)
LAST = Event(
    id="e",
    type=EventType.DEFERRED,
    key=DELIVERY.key,
    at=NOW,
    attempt=AttemptFacts(attempt=1, details="Not now", reply="451 4.7.1 Greylisted"),
)
MESSAGE = StoredMessage(SUBMISSION, DELIVERY, LAST)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"recipient": "ann@X.TEST"},
        {"message_id": "<m1@demo.test>"},
        {"tag": "may"},
        {"tag": "invoices"},
        {"stream": "broadcast"},
        {"states": frozenset({State.DEFERRED, State.SENT})},
        {"sender": "billing"},
        {"sender": "bounce@demo.test BILLING"},
        {"subject": "INVOICE your"},
        {"subject": "strasse"},
        {"subject": "voic"},
        {"text": "greylisted 451 ann@x.test"},
        {"text": "m1@demo.test may"},
        {"text": "   "},
        {"recipient": "ann@x.test", "tag": "may", "subject": "invoice", "text": "not now"},
    ],
)
def test_a_message_that_is_all_that_is_asked_for(wanted):
    assert matches(MessageFilter(**wanted), MESSAGE)


@pytest.mark.parametrize(
    "wanted",
    [
        {"recipient": "ann@x.tes"},
        {"message_id": "M1@demo.test"},
        {"tag": "ma"},
        {"tag": "May"},
        {"stream": "transactional"},
        {"states": frozenset({State.SENT})},
        {"sender": "ann"},
        {"subject": "invoice billing"},
        {"text": "invoice delivered"},
        {"recipient": "ann@x.test", "tag": "june"},
    ],
)
def test_a_message_that_lacks_something(wanted):
    assert not matches(MessageFilter(**wanted), MESSAGE)


def test_messages_without_tags_ids_and_facts_are_looked_at_like_others():
    bare = StoredMessage(replace(SUBMISSION, tag=None, tags=(), message_id=None), DELIVERY)
    assert matches(MessageFilter(text="invoice"), bare)
    for lacking in ({"tag": "may"}, {"message_id": "m1@demo.test"}, {"text": "greylisted"}):
        assert not matches(MessageFilter(**lacking), bare)


@pytest.mark.parametrize(
    ("wanted", "looks"),
    [
        ({}, False),
        ({"recipient": "a@x.test"}, False),
        ({"tag": "a"}, False),
        ({"message_id": "a"}, False),
        ({"message_id": "a", "recipient": "a@x.test"}, True),
        ({"stream": "broadcast"}, True),
        ({"states": frozenset({State.SENT})}, True),
        ({"sender": "a"}, True),
        ({"subject": "a"}, True),
        ({"text": "a"}, True),
    ],
)
def test_what_no_index_answers_must_be_looked_for(wanted, looks):
    assert MessageFilter(**wanted).reads_rows is looks


def test_more_words_and_longer_texts_than_anybody_types_are_cut():
    assert len(words("a " * 99)) == MAX_WORDS
    assert len(words("a" * 999)[0]) == MAX_TEXT


texts = st.text(max_size=60)


@given(texts, texts)
def test_all_words_must_be_there_in_any_order(haystack, wanted):
    each = [contains(haystack, word) for word in words(wanted)]
    assert contains(haystack, wanted) == all(each)
    assert contains(haystack, " ".join(reversed(wanted.split()))) == all(each)


@given(texts)
def test_every_word_of_a_text_is_in_it_in_any_case(text):
    assert contains(text, text)
    assert contains(text.upper(), text.lower()) == contains(text.lower(), text.upper())


@given(st.text("abcXYZ \u00e4\u00c4\u00df\u0130\u03c2\u03a3", max_size=40), st.integers(0, 40))
def test_a_piece_of_a_text_is_in_it(text, cut):
    assert contains(text + "tail", text[:cut])


names = st.sampled_from(["", "ann@x.test", "bob@x.test"])
filters = st.builds(
    MessageFilter,
    recipient=names,
    tag=st.sampled_from(["", "may", "june"]),
    states=st.sets(st.sampled_from(State)).map(frozenset),
    subject=st.sampled_from(["", "invoice", "offer"]),
    text=st.sampled_from(["", "greylisted", "nothing"]),
)


@given(filters)
def test_a_filter_asks_for_all_of_its_fields(wanted):
    alone = [
        MessageFilter(recipient=wanted.recipient),
        MessageFilter(tag=wanted.tag),
        MessageFilter(states=wanted.states),
        MessageFilter(subject=wanted.subject),
        MessageFilter(text=wanted.text),
    ]
    assert matches(wanted, MESSAGE) == all(matches(each, MESSAGE) for each in alone)
