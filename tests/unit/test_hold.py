"""What holds a message, and what ends a hold."""

from dataclasses import replace
from itertools import product

import pytest

from mailroom.domain.event import Event, EventType, dump_event, load_event
from mailroom.domain.hold import (
    DETAILS,
    HOLD_SECONDS,
    Hold,
    cancel,
    end_hold,
    hold_reason,
    put_on_hold,
    release,
)
from mailroom.domain.lifecycle import State, may_move
from mailroom.domain.message import (
    BodyRef,
    Delivery,
    DeliveryKey,
    Mode,
    Server,
    ServerId,
    Submission,
)
from mailroom.domain.postal_words import (
    delivery_entry,
    message_status,
    status_word,
    webhook_event,
)
from mailroom.domain.settlement import Settlement, suppress

NOW = 1_760_000_000.0
SERVER = Server(ServerId("abcdefghij"), "org", "Demo", "demo", "abc123")
KEY = DeliveryKey(SERVER.id, 77, 0)
SUBMISSION = Submission(
    server=SERVER.id,
    number=77,
    accepted_at=NOW,
    expires_at=NOW + 172_800,
    mail_from="a@demo.test",
    from_address="a@demo.test",
    sign_domain="demo.test",
    subject="",
    message_id=None,
    tag=None,
    size=1,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b""),
)
CLAIMED = Delivery(
    KEY, "ann@x.test", State.ATTEMPTING, NOW - 5, NOW + 172_800,
    attempts=2, uncertain=1, generation=4, claim="c", claim_until=NOW + 1800,
)  # fmt: skip
HELD = put_on_hold(CLAIMED, Hold.DEVELOPMENT, now=NOW, seconds=HOLD_SECONDS).after


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize(
    ("suspended", "holds", "limit", "development"), list(product([False, True], repeat=4))
)
def test_the_first_hold_in_postals_order_is_the_reason(
    suspended: bool, holds: bool, limit: bool, development: bool, manual: bool
) -> None:
    server = replace(
        SERVER,
        suspended="abuse" if suspended else None,
        mode=Mode.DEVELOPMENT if development else Mode.LIVE,
    )
    expected = (
        Hold.SUSPENDED
        if suspended
        else Hold.CREDENTIAL
        if holds and not manual
        else Hold.LIMIT
        if limit
        else Hold.DEVELOPMENT
        if development and not manual
        else None
    )
    submission = replace(SUBMISSION, hold=holds)
    assert hold_reason(submission, server, manual=manual, limit_reached=limit) is expected


def test_a_hold_counts_no_attempt_and_ends_after_a_week() -> None:
    settlement = put_on_hold(CLAIMED, Hold.CREDENTIAL, now=NOW, seconds=HOLD_SECONDS)
    assert settlement.after == replace(
        CLAIMED, state=State.HELD, generation=5, claim=None, claim_until=None,
        due_at=NOW + 7 * 86_400,
    )  # fmt: skip
    assert told(settlement) == (EventType.HELD, DETAILS[Hold.CREDENTIAL], 2, False)


def test_a_release_gives_a_whole_lifetime_and_is_remembered() -> None:
    settlement = release(HELD, "API key 'main'", now=NOW + 9, lifetime=100.0, due_at=NOW + 20)
    assert settlement.after == replace(
        HELD, state=State.QUEUED, manual=True, generation=6, expires_at=NOW + 109, due_at=NOW + 20
    )
    assert told(settlement) == (EventType.RELEASED, "Released by API key 'main'", 2, False)


@pytest.mark.parametrize(
    ("settlement", "details"),
    [
        (cancel(HELD, "somebody", now=NOW), "Cancelled by somebody"),
        (end_hold(HELD, now=NOW), "Cancelled: nobody released it in time"),
    ],
)
def test_a_cancelled_hold_is_final(settlement: Settlement, details: str) -> None:
    assert settlement.after == replace(HELD, state=State.CANCELLED, generation=6, due_at=None)
    assert told(settlement) == (EventType.CANCELLED, details, 2, True)


def test_every_move_of_a_hold_is_one_of_the_table_and_its_events_differ() -> None:
    moves = [
        (CLAIMED, put_on_hold(CLAIMED, Hold.LIMIT, now=NOW, seconds=1.0)),
        (HELD, release(HELD, "x", now=NOW, lifetime=1.0, due_at=NOW)),
        (HELD, cancel(HELD, "x", now=NOW)),
    ]
    assert all(may_move(before.state, done.after.state) for before, done in moves)
    assert len({done.event.id for _, done in moves}) == 3
    assert [load_event(dump_event(done.event)) for _, done in moves] == [d.event for _, d in moves]


def test_postal_is_told_of_holds_in_its_words() -> None:
    held = put_on_hold(CLAIMED, Hold.LIMIT, now=NOW, seconds=1.0).event
    assert (status_word(held.type, final=False), webhook_event(held.type, final=False)) == (
        "Held",
        "MessageHeld",
    )
    assert status_word(EventType.CANCELLED, final=True) == "HoldCancelled"


def test_postal_is_told_of_suppressed_mail_as_of_mail_that_failed() -> None:
    settlement = suppress(CLAIMED, "complaint", now=NOW)
    assert may_move(CLAIMED.state, settlement.after.state)
    assert told(settlement) == (
        EventType.SUPPRESSED, "Not sent: the recipient is suppressed (complaint)", 2, True,
    )  # fmt: skip
    assert delivery_entry(settlement.event)["status"] == "HardFail"
    assert webhook_event(EventType.SUPPRESSED, final=True) == "MessageDeliveryFailed"
    assert message_status(State.SUPPRESSED, {EventType.SUPPRESSED}) == "HardFail"
    for quiet in (EventType.RETRIED, EventType.SCHEDULED):
        assert webhook_event(quiet, final=False) is None


def told(settlement: Settlement) -> tuple[EventType, str, int, bool]:
    event: Event = settlement.event
    assert event.id == f"{KEY}/{settlement.after.generation}/{event.type}"
    assert event.attempt is not None
    return event.type, event.attempt.details, event.attempt.attempt, event.attempt.final
