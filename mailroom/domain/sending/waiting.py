"""What a delivery's history says when it waits for a path and nobody was asked about it."""

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.sending.job import JobFacts

_MOST_TEXT = 500


def waits(job: JobFacts, reason: str, site: str, now: float) -> Event:
    """Return the event that a delivery waits for its path to open; no attempt is counted.

    It is told once each time the delivery comes to a closed path, not while it waits there.
    """
    return Event(
        id=f"{job.key}/{job.generation + 1}/{EventType.DEFERRED}",
        type=EventType.DEFERRED,
        key=job.key,
        at=round(now, 3),
        attempt=AttemptFacts(
            attempt=job.attempts,
            details="It waits until mail to its receiver may go out again",
            reply=reason[:_MOST_TEXT],
            site=site,
        ),
    )
