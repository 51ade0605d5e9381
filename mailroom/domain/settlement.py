"""What becomes of a delivery after an attempt: the one place where an outcome turns into state.

Used by egress for every attempt, by its recovery after a crash, and by the scheduler for claims
whose owner never came back.
"""

from dataclasses import dataclass, replace

from mailroom.domain.claim import claim_name
from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery
from mailroom.domain.outcome import Outcome, Verdict, is_path_trouble, judged
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import AT_ONCE_TRIES, RetryPolicy, is_at_once, is_greylisted
from mailroom.domain.sending.judgement import Category, Judgement

MAX_REPLY = 1_000  # characters of a reply that are kept
MAX_REASON = 500

_UNJUDGED = Judgement()
_UNKNOWN = Judgement(category=Category.UNCERTAIN)
_TOO_OLD = Judgement(category=Category.MESSAGE_EXPIRED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the attempt showed beside its outcome; `seconds` is its duration.

    `address` is the id of the source address, `site` the receiving site's key.
    """

    mx: str = ""
    tls: bool = False
    seconds: float = 0.0
    log_id: str = ""
    address: str = ""
    site: str = ""
    tls_version: str = ""
    tls_cipher: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The delivery as it is from now on, and the event that says so. Written together."""

    after: Delivery
    event: Event


@dataclass(frozen=True, slots=True)
class _Next:
    """Where a delivery goes, and whether the try that sends it there is an attempt."""

    state: State
    due_at: float | None = None
    counts: bool = True


_NOTHING_SEEN = Seen()
_EVENTS = {
    Verdict.SENT: EventType.SENT,
    Verdict.DEFERRED: EventType.DEFERRED,
    Verdict.BOUNCED: EventType.BOUNCED,
    Verdict.UNCERTAIN: EventType.UNCERTAIN,
}


def settle(
    before: Delivery,
    outcome: Outcome,
    seen: Seen,
    *,
    now: float,
    policy: RetryPolicy,
    jitter: float,
    judgement: Judgement = _UNJUDGED,
) -> Settlement:
    """Decide what follows from `outcome`. `now` is Unix seconds, `jitter` from -1 to 1.

    `judgement` is what the rules say of its reply: it may overrule the code, ask for a wait, for
    the same source address or for another try at once. Trouble of the path before any receiver
    heard of the message uses no attempt, though its waits grow. A deferral whose next try would
    come after the delivery's expiry expires it now, with the last reply as its reason. A lost
    final reply is retried as often as the policy says and then left alone: another copy is worse
    than not knowing.
    """
    outcome = judged(outcome, judgement)
    uncertain = before.uncertain + (outcome.verdict is Verdict.UNCERTAIN)
    step = _next(before, outcome, judgement, uncertain, now=now, policy=policy, jitter=jitter)
    kind = EventType.EXPIRED if step.state is State.EXPIRED else _EVENTS[outcome.verdict]
    after = replace(
        before,
        state=step.state,
        attempts=before.attempts + step.counts,
        uncertain=uncertain,
        generation=before.generation + 1,
        claim=None,
        claim_until=None,
        due_at=step.due_at,
        sticky=_sticky(before, outcome, judgement, seen, step),
        stalls=0 if step.counts else before.stalls + 1,
    )
    if kind is EventType.DEFERRED and is_due_a_notice(before, now, policy):
        after, kind = replace(after, late=True), EventType.DELAYED
    if outcome.verdict is Verdict.UNCERTAIN:
        judgement = _UNKNOWN
    return Settlement(after, _event(after, kind, outcome, seen, now, judgement))


def expire(before: Delivery, *, now: float, reason: str = "") -> Settlement:
    """Give up on a delivery that waited past its expiry. No attempt is counted.

    `reason` is what it waited for: the last refusal, or why its path was closed.
    """
    text = "the message expired before it could be delivered"
    if reason:
        text += f": {reason[:MAX_REASON]}"
    after = _ended(before, State.EXPIRED)
    outcome = Outcome(Verdict.DEFERRED, SmtpReply(0, text, Phase.CONNECT))
    event = _event(after, EventType.EXPIRED, outcome, _NOTHING_SEEN, now, _TOO_OLD)
    return Settlement(after, event)


def give_notice(before: Delivery, *, now: float, reason: str = "") -> Settlement:
    """Say once that a waiting delivery is late. It goes on waiting as before, with no attempt.

    Its generation stays, so that wake-ups under way still hold.
    """
    after = replace(before, late=True)
    why = reason[:MAX_REASON] or "no receiver has been reached yet"
    outcome = Outcome(Verdict.DEFERRED, SmtpReply(0, why, ""))
    event = _event(after, EventType.DELAYED, outcome, _NOTHING_SEEN, now, _UNJUDGED)
    return Settlement(after, _waiting(event, f"Not delivered yet: {why}"))


def is_due_a_notice(delivery: Delivery, now: float, policy: RetryPolicy) -> bool:
    """Say whether somebody should hear that a delivery is late, and has not.

    Its age counts from when it was to be sent: a lifetime before its expiry, for instance.
    """
    started = max(delivery.accepted_at, delivery.expires_at - policy.lifetime(bulk=delivery.bulk))
    return not delivery.late and policy.is_late(now - started)


def suppress(before: Delivery, reason: str, *, now: float) -> Settlement:
    """End a delivery whose recipient gets no mail any more. No attempt is counted."""
    after = _ended(before, State.SUPPRESSED)
    event = Event(
        id=f"{after.key}/{after.generation}/{EventType.SUPPRESSED}",
        type=EventType.SUPPRESSED,
        key=after.key,
        at=round(now, 3),
        attempt=AttemptFacts(
            attempt=after.attempts,
            details=f"Not sent: the recipient is suppressed ({reason})",
            final=True,
        ),
    )
    return Settlement(after, event)


def lose_claim(
    before: Delivery, *, now: float, policy: RetryPolicy, jitter: float = -1.0
) -> Settlement:
    """Settle a claim whose owner died with the final dot sent or its journal lost: uncertain.

    The event names the claim: what is learnt later may correct the loss of this claim only.
    """
    seen = Seen(log_id=claim_name(before.claim or ""))
    reply = SmtpReply(0, "the host stopped before the final reply was recorded", Phase.DOT)
    outcome = Outcome(Verdict.UNCERTAIN, reply)
    return settle(before, outcome, seen, now=now, policy=policy, jitter=jitter)


def revive(before: Delivery, *, now: float) -> Settlement:
    """Undo the loss of a claim of which it turns out that nothing was sent under it.

    The delivery is due at once, with the attempts and losses it had before. Its generation is
    that of the loss: whoever writes this down checks it and counts on from there.
    """
    after = replace(
        before,
        state=State.DEFERRED,
        attempts=max(0, before.attempts - 1),
        uncertain=max(0, before.uncertain - 1),
        due_at=round(now, 3),
    )
    outcome = Outcome(Verdict.DEFERRED, SmtpReply(0, "the host was stopped", ""))
    event = _event(after, EventType.DEFERRED, outcome, _NOTHING_SEEN, now, _UNJUDGED)
    return Settlement(after, _waiting(event, "The host stopped before it had sent it; it is sent"))


def _ended(before: Delivery, state: State) -> Delivery:
    return replace(
        before,
        state=state,
        generation=before.generation + 1,
        claim=None,
        claim_until=None,
        due_at=None,
    )


def _next(
    before: Delivery,
    outcome: Outcome,
    judgement: Judgement,
    uncertain: int,
    *,
    now: float,
    policy: RetryPolicy,
    jitter: float,
) -> _Next:
    match outcome.verdict:
        case Verdict.SENT:
            return _Next(State.SENT)
        case Verdict.BOUNCED:
            return _Next(State.BOUNCED)
        case Verdict.UNCERTAIN:
            if uncertain > policy.schedule(bulk=before.bulk).uncertain_resends:
                return _Next(State.UNCERTAIN)
            wait = policy.resend_delay(jitter=jitter, bulk=before.bulk)
            return _in_time(before, now + wait, State.UNCERTAIN, counts=True)
    if is_at_once(judgement) and before.stalls < AT_ONCE_TRIES:
        return _in_time(before, now, State.EXPIRED, counts=False)
    wait = policy.wait(
        before.attempts + before.stalls + 1, judgement, jitter=jitter, bulk=before.bulk
    )
    counts = not is_path_trouble(outcome.reply, judgement)
    return _in_time(before, now + wait, State.EXPIRED, counts=counts)


def _in_time(before: Delivery, due_at: float, too_late: State, *, counts: bool) -> _Next:
    due_at = round(due_at, 3)
    if due_at < before.expires_at:
        return _Next(State.DEFERRED, due_at, counts)
    return _Next(too_late, counts=counts)


def _sticky(
    before: Delivery, outcome: Outcome, judgement: Judgement, seen: Seen, step: _Next
) -> str:
    """Return which source address must come again. A try that nobody heard of changes nothing."""
    if not step.counts:
        return before.sticky
    waits = step.due_at is not None and outcome.verdict is Verdict.DEFERRED
    return seen.address if waits and is_greylisted(judgement) else ""


def _event(
    after: Delivery,
    kind: EventType,
    outcome: Outcome,
    seen: Seen,
    now: float,
    judgement: Judgement,
) -> Event:
    reply = outcome.reply
    told = kind is not EventType.SENT and judgement != _UNJUDGED
    return Event(
        id=f"{after.key}/{after.generation}/{kind}",
        type=kind,
        key=after.key,
        at=round(now, 3),
        attempt=AttemptFacts(
            attempt=after.attempts,
            details=_details(after, kind, outcome, seen),
            reply=str(reply)[:MAX_REPLY],
            code=reply.code,
            phase=str(reply.phase),
            mx=seen.mx,
            tls=seen.tls,
            seconds=round(seen.seconds, 3),
            bounce=str(outcome.bounce) if outcome.bounce else None,
            final=after.due_at is None,
            log_id=seen.log_id,
            category=str(judgement.category) if told else "",
            rule=judgement.rule if told else "",
            scope=str(judgement.scope) if told else "",
            address=seen.address,
            site=seen.site,
            tls_version=seen.tls_version,
            tls_cipher=seen.tls_cipher,
        ),
    )


def _waiting(event: Event, details: str) -> Event:
    """Return the event of something that is no try: `details` say why the delivery waits."""
    if event.attempt is None:
        return event
    return replace(event, attempt=replace(event.attempt, details=details, final=False))


def _details(after: Delivery, kind: EventType, outcome: Outcome, seen: Seen) -> str:
    where = f" by {seen.mx}" if seen.mx else ""
    match kind:
        case EventType.SENT:
            return f"Message for {after.recipient} accepted{where}"
        case EventType.BOUNCED:
            return f"Permanently refused{where} at {outcome.reply.phase} ({outcome.bounce} bounce)"
        case EventType.EXPIRED:
            return f"Gave up after {_times(after.attempts)}: the message is too old"
        case EventType.UNCERTAIN:
            again = "it is sent again" if after.due_at else "it is not sent again"
            return f"The final reply was lost{where}; the receiver may have taken it; {again}"
        case EventType.DELAYED:
            return f"Not accepted{where} at {outcome.reply.phase} for hours; it is still tried"
        case _:
            return f"Not accepted{where} at {outcome.reply.phase}; it will be tried again"


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
