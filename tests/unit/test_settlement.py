"""What becomes of a delivery after an attempt."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import CLAIMABLE, FINAL, State, may_move
from mailroom.domain.message import Delivery, DeliveryKey, ServerId
from mailroom.domain.outcome import classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.settlement import MAX_REPLY, Seen, Settlement, expire, lose_claim, settle

KEY = DeliveryKey(ServerId("abcdefghij"), 77, 3)
NOW = 1_760_000_000.0
CLAIMED = Delivery(
    KEY, "ann@example.com", State.ATTEMPTING, NOW - 5, NOW + 172_800,
    generation=4, claim="claim-1", claim_until=NOW + 1800,
)  # fmt: skip
POLICY = RetryPolicy()
OK = SmtpReply(250, "2.0.0 ok", Phase.DOT)
BUSY = SmtpReply(451, "4.7.1 later", Phase.RCPT)
REFUSED = SmtpReply(550, "5.1.1 no such user", Phase.RCPT)
LOST = SmtpReply(0, "connection lost", Phase.DOT)


def settled(reply: SmtpReply, before: Delivery = CLAIMED, *, now: float = NOW) -> Settlement:
    seen = Seen("mx.example.com", True, 1.23456, "abc")
    return settle(before, classify_reply(reply), seen, now=now, policy=POLICY, jitter=0.0)


@pytest.mark.parametrize(
    ("reply", "state", "kind"),
    [
        (OK, State.SENT, EventType.SENT),
        (BUSY, State.DEFERRED, EventType.DEFERRED),
        (REFUSED, State.BOUNCED, EventType.BOUNCED),
        (LOST, State.DEFERRED, EventType.UNCERTAIN),
    ],
)
def test_each_verdict_has_its_state_and_event(
    reply: SmtpReply, state: State, kind: EventType
) -> None:
    settlement = settled(reply)
    assert (settlement.after.state, settlement.event.type) == (state, kind)


def test_the_event_tells_what_was_seen() -> None:
    event = settled(REFUSED).event
    facts = event.attempt
    assert facts is not None
    assert event.id == f"{KEY}/5/bounced"
    assert (facts.attempt, facts.code, facts.phase, facts.mx) == (1, 550, "RCPT", "mx.example.com")
    assert (facts.tls, facts.seconds, facts.bounce, facts.final) == (True, 1.235, "hard", True)
    assert facts.reply == "550 5.1.1 no such user"
    assert facts.details == "Permanently refused by mx.example.com at RCPT (hard bounce)"


def test_a_deferral_is_due_after_the_policys_delay() -> None:
    third = replace(CLAIMED, attempts=2)
    assert settled(BUSY, third).after.due_at == NOW + POLICY.delay(3, jitter=0.0)


@pytest.mark.parametrize(("left", "state"), [(61.0, State.DEFERRED), (60.0, State.EXPIRED)])
def test_a_deferral_that_would_come_too_late_expires_at_once(left: float, state: State) -> None:
    settlement = settled(BUSY, replace(CLAIMED, expires_at=NOW + left))
    assert settlement.after.state is state
    if state is State.EXPIRED:
        facts = settlement.event.attempt
        assert settlement.event.type is EventType.EXPIRED
        assert facts is not None
        assert facts.reply == "451 4.7.1 later"  # the last reply is the reason
        assert "too old" in facts.details


def test_a_lost_reply_is_answered_with_three_more_copies_and_no_fifth() -> None:
    last = settled(LOST)
    for lost in (1, 2, 3):
        assert (last.after.state, last.after.uncertain) == (State.DEFERRED, lost)
        assert last.after.due_at == NOW + POLICY.uncertain_delay
        assert last.event.attempt is not None
        assert "sent again" in last.event.attempt.details
        last = settled(LOST, replace(last.after, state=State.ATTEMPTING, claim=f"claim-{lost}"))
    assert (last.after.state, last.after.uncertain) == (State.UNCERTAIN, 4)
    assert last.event.attempt is not None
    assert "not sent again" in last.event.attempt.details


def test_a_policy_may_forbid_any_second_copy() -> None:
    never = RetryPolicy(uncertain_resends=0)
    settlement = lose_claim(CLAIMED, now=NOW, policy=never)
    assert (settlement.after.state, settlement.after.due_at) == (State.UNCERTAIN, None)


def test_a_lost_reply_near_the_expiry_stays_unknown() -> None:
    settlement = settled(LOST, replace(CLAIMED, expires_at=NOW + 1))
    assert settlement.after.state is State.UNCERTAIN
    assert settlement.event.type is EventType.UNCERTAIN


def test_a_lost_claim_counts_as_a_lost_reply() -> None:
    settlement = lose_claim(CLAIMED, now=NOW, policy=POLICY)
    assert (settlement.after.attempts, settlement.after.uncertain) == (1, 1)
    assert settlement.event.type is EventType.UNCERTAIN


@pytest.mark.parametrize("state", sorted(CLAIMABLE))
def test_expiry_uses_no_attempt(state: State) -> None:
    waiting = replace(CLAIMED, state=state, claim=None, claim_until=None, attempts=3, due_at=NOW)
    settlement = expire(waiting, now=NOW)
    assert (settlement.after.state, settlement.after.attempts) == (State.EXPIRED, 3)
    assert settlement.after.generation == waiting.generation + 1
    assert settlement.after.due_at is None
    assert settlement.event.type is EventType.EXPIRED


def test_a_boundless_reply_is_kept_in_part() -> None:
    facts = settled(SmtpReply(550, "x" * 5_000, Phase.DOT)).event.attempt
    assert facts is not None
    assert len(facts.reply) == MAX_REPLY


@given(
    code=st.integers(0, 700) | st.sampled_from([0, 250, 451, 550]),
    text=st.text(max_size=20),
    phase=st.sampled_from(Phase),
    attempts=st.integers(0, 500),
    uncertain=st.integers(0, 3),
    left=st.floats(-1e6, 1e6),
    jitter=st.floats(-1, 1),
)
@settings(max_examples=100)
def test_every_outcome_leads_to_an_end_or_a_next_time_and_never_to_both(
    code: int,
    text: str,
    phase: Phase,
    attempts: int,
    uncertain: int,
    left: float,
    jitter: float,
) -> None:
    before = replace(CLAIMED, attempts=attempts, uncertain=uncertain, expires_at=NOW + left)
    outcome = classify_reply(SmtpReply(code, text, phase))
    settlement = settle(before, outcome, Seen(), now=NOW, policy=POLICY, jitter=jitter)
    after, facts = settlement.after, settlement.event.attempt
    assert (after.state in FINAL) != (after.due_at is not None)
    assert after.due_at is None or NOW < after.due_at < before.expires_at
    assert may_move(before.state, after.state)
    assert after.attempts == before.attempts + 1
    assert after.generation == before.generation + 1
    assert 0 <= after.uncertain - before.uncertain <= 1
    assert (after.claim, after.claim_until) == (None, None)
    assert (after.key, after.recipient) == (before.key, before.recipient)
    assert facts is not None
    assert facts.final == (after.state in FINAL)
    assert settlement.event.id.startswith(f"{KEY}/{after.generation}/")
