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
from mailroom.domain.retry import (
    AT_ONCE_TRIES,
    BULK_SCHEDULE,
    HOUR,
    MINUTE,
    TRANSACTIONAL_SCHEDULE,
    RetryPolicy,
)
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb
from mailroom.domain.settlement import (
    MAX_REPLY,
    Seen,
    Settlement,
    expire,
    give_notice,
    is_due_a_notice,
    lose_claim,
    settle,
)

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


BULK = replace(CLAIMED, bulk=True, expires_at=NOW + 72 * HOUR)
SEEN = Seen("mx.example.com", True, 1.23456, "abc", "adr_1", "mx.example.com", "TLSv1.3", "AES")
AT_ONCE = Judgement(actions=(Action(Verb.RETRY_NOW),), rule="too-many-on-connection")
GREYLISTED = Judgement(category=Category.GREYLISTED, rule="greylisted")
CLOSED = SmtpReply(0, "connection refused", Phase.CONNECT)


def settled(
    reply: SmtpReply,
    before: Delivery = CLAIMED,
    *,
    now: float = NOW,
    judgement: Judgement = Judgement(),  # noqa: B008 - frozen
    jitter: float = 0.0,
) -> Settlement:
    outcome = classify_reply(reply)
    return settle(before, outcome, SEEN, now=now, policy=POLICY, jitter=jitter, judgement=judgement)


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
        assert last.after.due_at == NOW + POLICY.resend_delay(jitter=0.0)
        assert last.event.attempt is not None
        assert "sent again" in last.event.attempt.details
        last = settled(LOST, replace(last.after, state=State.ATTEMPTING, claim=f"claim-{lost}"))
    assert (last.after.state, last.after.uncertain) == (State.UNCERTAIN, 4)
    assert last.event.attempt is not None
    assert "not sent again" in last.event.attempt.details


def test_a_policy_may_forbid_any_second_copy() -> None:
    never = RetryPolicy(transactional=replace(TRANSACTIONAL_SCHEDULE, uncertain_resends=0))
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


def test_bulk_mail_whose_reply_was_lost_is_not_sent_again() -> None:
    settlement = settled(LOST, BULK)
    assert (settlement.after.state, settlement.after.due_at) == (State.UNCERTAIN, None)
    assert settlement.event.attempt is not None
    assert settlement.event.attempt.final
    assert settlement.event.attempt.category == "uncertain"


def test_a_platform_may_have_bulk_mail_sent_again_too() -> None:
    policy = RetryPolicy(bulk=replace(BULK_SCHEDULE, uncertain_resends=1))
    once = lose_claim(BULK, now=NOW, policy=policy).after
    assert once.state is State.DEFERRED
    assert lose_claim(once, now=NOW, policy=policy).after.state is State.UNCERTAIN


def test_bulk_mail_follows_its_own_schedule() -> None:
    assert settled(BUSY, BULK).after.due_at == NOW + 10 * MINUTE
    assert settled(BUSY, replace(BULK, attempts=9)).after.due_at == NOW + 4 * HOUR


def test_a_reply_may_ask_for_a_wait() -> None:
    after = settled(BUSY, judgement=Judgement(retry_after=120.0), jitter=-1.0).after
    assert after.due_at == NOW + 120.0


def test_a_greylisted_delivery_comes_again_from_the_same_address() -> None:
    first = settled(BUSY, judgement=GREYLISTED).after
    assert first.sticky == "adr_1"
    assert NOW + 300.0 <= (first.due_at or 0.0) <= NOW + 600.0
    unheard = settled(CLOSED, replace(first, state=State.ATTEMPTING))
    assert unheard.after.sticky == "adr_1"  # nobody has seen it since
    assert settled(BUSY, replace(first, state=State.ATTEMPTING)).after.sticky == ""
    assert settled(OK, replace(first, state=State.ATTEMPTING)).after.sticky == ""


def test_what_is_to_be_tried_at_once_uses_no_attempt_a_few_times() -> None:
    before = CLAIMED
    for times in range(1, AT_ONCE_TRIES + 1):
        after = settled(BUSY, before, judgement=AT_ONCE).after
        assert (after.state, after.due_at) == (State.DEFERRED, NOW)
        assert (after.attempts, after.stalls) == (0, times)
        before = replace(after, state=State.ATTEMPTING, claim="next")
    counted = settled(BUSY, before, judgement=AT_ONCE).after
    assert (counted.attempts, counted.stalls) == (1, 0)
    assert (counted.due_at or 0.0) > NOW


@pytest.mark.parametrize(
    "phase", [Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH]
)
@pytest.mark.parametrize("code", [0, 421, 554])
def test_trouble_of_the_path_uses_no_attempt_but_is_told_and_waits_longer_each_time(
    phase: Phase, code: int
) -> None:
    reply, before, waits = SmtpReply(code, "not now", phase), CLAIMED, []
    for _ in range(3):
        settlement = settled(reply, before)
        assert settlement.event.type is EventType.DEFERRED
        assert settlement.after.attempts == 0
        waits.append((settlement.after.due_at or 0.0) - NOW)
        before = replace(settlement.after, state=State.ATTEMPTING, claim="next")
    assert waits == [MINUTE, 3 * MINUTE, 7 * MINUTE]
    heard = settled(BUSY, before).after
    assert (heard.attempts, heard.stalls) == (1, 0)


def test_a_name_that_cannot_be_looked_up_is_an_attempt() -> None:
    assert settled(SmtpReply(0, "SERVFAIL", Phase.DNS)).after.attempts == 1


def test_a_rule_may_overrule_the_class_of_a_code() -> None:
    gone = Judgement(
        category=Category.INACTIVE_MAILBOX, rule="inactive", permanent=True, suppress=True
    )
    bounced = settled(BUSY, judgement=gone)
    assert bounced.after.state is State.BOUNCED
    assert bounced.event.attempt is not None
    assert (bounced.event.attempt.bounce, bounced.event.attempt.rule) == ("hard", "inactive")
    soon = Judgement(category=Category.QUOTA_ISSUES, rule="full", permanent=False)
    assert settled(REFUSED, judgement=soon).after.state is State.DEFERRED


@pytest.mark.parametrize("reply", [OK, LOST, CLOSED])
def test_no_rule_makes_a_refusal_of_what_was_accepted_or_not_answered(reply: SmtpReply) -> None:
    permanent = Judgement(rule="odd", permanent=True)
    assert settled(reply, judgement=permanent).after.state is not State.BOUNCED


@pytest.mark.parametrize(
    ("category", "bounce"),
    [
        (Category.BAD_MAILBOX, "soft"),  # nobody is sure of it who does not suppress
        (Category.BAD_DOMAIN, "hard"),
        (Category.INACTIVE_MAILBOX, "soft"),
        (Category.POLICY_RELATED, "block"),
        (Category.SPAM_RELATED, "block"),
        (Category.AUTHENTICATION, "block"),
        (Category.QUOTA_ISSUES, "soft"),
        (Category.CONTENT_RELATED, "soft"),
        (Category.OTHER, "hard"),  # 5.1.1 says so itself
    ],
)
def test_a_known_category_says_whose_fault_a_refusal_is(category: Category, bounce: str) -> None:
    facts = settled(REFUSED, judgement=Judgement(category=category, rule="known")).event.attempt
    assert facts is not None
    assert (facts.bounce, facts.category) == (bounce, str(category))


def test_the_history_tells_the_way_and_what_the_rules_said() -> None:
    said = Judgement(Scope.ADDRESS, Category.RATE_LIMITED, rule="slow-down")
    facts = settled(BUSY, judgement=said).event.attempt
    assert facts is not None
    assert (facts.category, facts.rule, facts.scope) == ("rate-limited", "slow-down", "address")
    assert (facts.address, facts.site) == ("adr_1", "mx.example.com")
    assert (facts.tls_version, facts.tls_cipher) == ("TLSv1.3", "AES")


def test_an_expired_delivery_says_what_it_waited_for() -> None:
    waiting = replace(CLAIMED, state=State.DEFERRED, claim=None)
    facts = expire(waiting, now=NOW, reason="421 4.7.0 too many connections").event.attempt
    assert facts is not None
    assert "421 4.7.0 too many connections" in facts.reply
    assert facts.category == "message-expired"
    unknown = expire(waiting, now=NOW).event.attempt
    assert unknown is not None
    assert unknown.reply == "the message expired before it could be delivered"


def test_a_delivery_is_called_late_once() -> None:
    old = replace(CLAIMED, accepted_at=NOW - 5 * HOUR, expires_at=NOW + 43 * HOUR)
    first = settled(BUSY, old)
    assert first.event.type is EventType.DELAYED
    assert first.after.late
    again = settled(BUSY, replace(first.after, state=State.ATTEMPTING, claim="next"))
    assert again.event.type is EventType.DEFERRED
    assert settled(OK, old).event.type is EventType.SENT


def test_the_age_of_a_delivery_counts_from_when_it_was_to_be_sent() -> None:
    scheduled = replace(CLAIMED, accepted_at=NOW - 90 * HOUR, expires_at=NOW + 45 * HOUR)
    assert not is_due_a_notice(scheduled, NOW, POLICY)
    assert is_due_a_notice(scheduled, NOW + HOUR, POLICY)


def test_a_notice_changes_nothing_else() -> None:
    waiting = replace(CLAIMED, state=State.QUEUED, claim=None, claim_until=None)
    notice = give_notice(waiting, now=NOW, reason="every path is closed")
    assert notice.after == replace(waiting, late=True)
    assert notice.event.type is EventType.DELAYED
    assert notice.event.attempt is not None
    assert not notice.event.attempt.final
    assert "every path is closed" in notice.event.attempt.details


JUDGEMENTS = st.builds(
    Judgement,
    scope=st.sampled_from(Scope),
    category=st.sampled_from(Category),
    actions=st.lists(st.sampled_from(Verb).map(Action), max_size=2).map(tuple),
    rule=st.sampled_from(["", "known"]),
    permanent=st.sampled_from([None, True, False]),
    retry_after=st.none() | st.floats(0, 1e6),
)


@given(
    code=st.integers(0, 700) | st.sampled_from([0, 250, 451, 550]),
    text=st.text(max_size=20),
    phase=st.sampled_from(Phase),
    attempts=st.integers(0, 500),
    uncertain=st.integers(0, 3),
    left=st.floats(-1e6, 1e6),
    jitter=st.floats(-1, 1),
    judgement=JUDGEMENTS,
    bulk=st.booleans(),
    stalls=st.integers(0, 50),
)
@settings(max_examples=300)
def test_every_outcome_leads_to_an_end_or_a_next_time_and_never_to_both(
    code: int,
    text: str,
    phase: Phase,
    attempts: int,
    uncertain: int,
    left: float,
    jitter: float,
    judgement: Judgement,
    bulk: bool,
    stalls: int,
) -> None:
    before = replace(
        CLAIMED,
        attempts=attempts,
        uncertain=uncertain,
        expires_at=NOW + left,
        bulk=bulk,
        stalls=stalls,
    )
    reply = SmtpReply(code, text, phase)
    settlement = settled(reply, before, judgement=judgement, jitter=jitter)
    after, facts = settlement.after, settlement.event.attempt
    assert (after.state in FINAL) != (after.due_at is not None)
    assert after.due_at is None or NOW <= after.due_at < before.expires_at
    assert may_move(before.state, after.state)
    is_attempt = after.attempts == before.attempts + 1
    assert is_attempt or (after.attempts == before.attempts and after.stalls == stalls + 1)
    assert is_attempt or after.state in (State.DEFERRED, State.EXPIRED)
    assert (after.state is State.SENT) == (phase is Phase.DOT and 200 <= code < 300)
    assert after.generation == before.generation + 1
    assert 0 <= after.uncertain - before.uncertain <= 1
    assert (after.claim, after.claim_until) == (None, None)
    assert (after.key, after.recipient) == (before.key, before.recipient)
    assert facts is not None
    assert facts.final == (after.state in FINAL)
    assert (facts.bounce is not None) == (after.state is State.BOUNCED)
    assert settlement.event.id.startswith(f"{KEY}/{after.generation}/")
