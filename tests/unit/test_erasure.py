"""What stays of a message when its recipient is erased."""

from dataclasses import replace

import pytest

from mailroom.domain.dsn_request import DsnRequest, RecipientRequest, dump, load
from mailroom.domain.erasure import (
    GONE,
    emptied,
    mark_of,
    may_be_erased,
    scrubbed,
    without_original,
)
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import FINAL, State
from mailroom.domain.message import BodyRef
from tests.contract.test_erasure import delivery, submission

NOW = 1_760_000_000.0


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        ("550 5.1.1 <Ann@X.test>: no such user", f"550 5.1.1 <{GONE}>: no such user"),
        ("554 forwarded to ann.b+c@other.example, refused", f"554 forwarded to {GONE}, refused"),
        ("250 2.0.0 OK", "250 2.0.0 OK"),
    ],
)
def test_replies_keep_their_sense_and_lose_addresses(reply, kept):
    event = Event(
        "e", EventType.BOUNCED, delivery().key, NOW, attempt=AttemptFacts(1, reply, reply, 550)
    )
    after = scrubbed(event)
    assert (after.attempt.reply, after.attempt.details) == (kept, kept)
    assert replace(after, attempt=event.attempt) == event


def test_views_keep_when_and_what_was_judged_and_lose_who():
    view = ViewFacts("192.0.2.1", "UA", "https://x.test/a?who=ann#b", "192.0.2.0/24", "person", 3)
    event = Event("e", EventType.CLICKED, delivery().key, NOW, view=view)
    assert scrubbed(event).view == ViewFacts("", "", "https://x.test/a", "", "person", 3)
    assert scrubbed(scrubbed(event)) == scrubbed(event)


@pytest.mark.parametrize("state", State)
def test_only_what_is_over_can_be_erased(state):
    assert may_be_erased(delivery(state=state)) == (state in FINAL)


def test_a_submission_of_one_recipient_keeps_no_content():
    after = emptied(submission())
    assert (after.subject, after.dsn, after.metadata, after.body) == ("", "", {}, BodyRef())
    assert (after.size, after.tag, after.message_id) == (10, "welcome", "m@demo.test")


def test_of_several_recipients_only_the_own_original_address_goes():
    asked = DsnRequest("FULL", "id", tuple(
        RecipientRequest(("FAILURE",), f"rfc822;{name}@x.test") for name in ("ann", "bob")
    ))  # fmt: skip
    after = load(without_original(submission(dsn=dump(asked)), 0).dsn)
    assert [each.original for each in after.recipients] == ["", "rfc822;bob@x.test"]
    assert after.recipients[0].notify == ("FAILURE",)
    assert without_original(submission(dsn="{"), 0).dsn == ""
    assert without_original(submission(dsn=""), 0).dsn == ""


def test_the_mark_is_no_address():
    assert "@" not in mark_of("ab12")
