"""What becomes of a delivery after an attempt: the one place where an outcome turns into state.

Used by egress for every attempt, by its recovery after a crash, and by the scheduler for claims
whose owner never came back.
"""

from dataclasses import dataclass, replace

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery
from mailroom.domain.outcome import Outcome, Verdict
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.retry import RetryPolicy

MAX_REPLY = 1_000  # characters of a reply that are kept


@dataclass(frozen=True, slots=True)
class Seen:
    """What the attempt showed beside its outcome; `seconds` is its duration."""

    mx: str = ""
    tls: bool = False
    seconds: float = 0.0
    log_id: str = ""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The delivery as it is from now on, and the event that says so. Written together."""

    after: Delivery
    event: Event


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
) -> Settlement:
    """Decide what follows from `outcome`. `now` is Unix seconds, `jitter` from -1 to 1.

    A deferral whose next try would come after the delivery's expiry expires it now, with the
    last reply as its reason. A lost final reply is retried `policy.uncertain_resends` times and
    then left alone: another copy is worse than not knowing.
    """
    attempts = before.attempts + 1
    uncertain = before.uncertain + (outcome.verdict is Verdict.UNCERTAIN)
    state, due_at = _next(before, outcome.verdict, attempts, uncertain, now, policy, jitter)
    kind = EventType.EXPIRED if state is State.EXPIRED else _EVENTS[outcome.verdict]
    after = replace(
        before,
        state=state,
        attempts=attempts,
        uncertain=uncertain,
        generation=before.generation + 1,
        claim=None,
        claim_until=None,
        due_at=due_at,
    )
    return Settlement(after, _event(after, kind, outcome, seen, now))


def expire(before: Delivery, *, now: float) -> Settlement:
    """Give up on a delivery that waited past its expiry. No attempt is counted."""
    reply = SmtpReply(0, "the message expired before it could be delivered", Phase.CONNECT)
    after = replace(
        before, state=State.EXPIRED, generation=before.generation + 1, claim=None,
        claim_until=None, due_at=None,
    )  # fmt: skip
    outcome = Outcome(Verdict.DEFERRED, reply)
    return Settlement(after, _event(after, EventType.EXPIRED, outcome, Seen(), now))


def suppress(before: Delivery, reason: str, *, now: float) -> Settlement:
    """End a delivery whose recipient gets no mail any more. No attempt is counted."""
    after = replace(
        before, state=State.SUPPRESSED, generation=before.generation + 1, claim=None,
        claim_until=None, due_at=None,
    )  # fmt: skip
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


def lose_claim(before: Delivery, *, now: float, policy: RetryPolicy) -> Settlement:
    """Settle a claim whose owner died with the final dot sent or its journal lost: uncertain."""
    reply = SmtpReply(0, "the host stopped before the final reply was recorded", Phase.DOT)
    outcome = Outcome(Verdict.UNCERTAIN, reply)
    return settle(before, outcome, Seen(), now=now, policy=policy, jitter=0.0)


def _next(
    before: Delivery,
    verdict: Verdict,
    attempts: int,
    uncertain: int,
    now: float,
    policy: RetryPolicy,
    jitter: float,
) -> tuple[State, float | None]:
    if verdict is Verdict.SENT:
        return State.SENT, None
    if verdict is Verdict.BOUNCED:
        return State.BOUNCED, None
    if verdict is Verdict.UNCERTAIN and uncertain > policy.uncertain_resends:
        return State.UNCERTAIN, None
    wait = (
        policy.resend_delay()
        if verdict is Verdict.UNCERTAIN
        else policy.delay(attempts, jitter=jitter)
    )
    due_at = round(now + wait, 3)
    if due_at < before.expires_at:
        return State.DEFERRED, due_at
    return (State.UNCERTAIN if verdict is Verdict.UNCERTAIN else State.EXPIRED), None


def _event(after: Delivery, kind: EventType, outcome: Outcome, seen: Seen, now: float) -> Event:
    reply = outcome.reply
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
        ),
    )


def _details(after: Delivery, kind: EventType, outcome: Outcome, seen: Seen) -> str:
    where = f" by {seen.mx}" if seen.mx else ""
    match kind:
        case EventType.SENT:
            return f"Message for {after.recipient} accepted{where}"
        case EventType.BOUNCED:
            return f"Permanently refused{where} at {outcome.reply.phase} ({outcome.bounce} bounce)"
        case EventType.EXPIRED:
            return f"Gave up after {after.attempts} attempts: the message is too old"
        case EventType.UNCERTAIN:
            again = "it is sent again" if after.due_at else "it is not sent again"
            return f"The final reply was lost{where}; the receiver may have taken it; {again}"
        case _:
            return f"Not accepted{where} at {outcome.reply.phase}; it will be tried again"
