"""What stays of a message when its recipient is erased: that it was sent, not to whom.

Counts, times, codes and sizes stay. Whatever is the person's, or may quote them, goes.
"""

import re
from dataclasses import replace

from mailroom.domain.dsn_request import DsnRequest, RecipientRequest, dump, load
from mailroom.domain.event import AttemptFacts, Event, ViewFacts
from mailroom.domain.lifecycle import FINAL
from mailroom.domain.message import BodyRef, Delivery, Submission

ERASED = "erased:"
GONE = "(erased)"
# A reply may quote an address we never saw: that to which the receiver forwarded.
_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")


def mark_of(hashed: str) -> str:
    """Return what stands in the place of a recipient: the keyed hash of the address."""
    return ERASED + hashed


def is_erased(delivery: Delivery) -> bool:
    """Say whether the recipient of a delivery was erased."""
    return delivery.recipient.startswith(ERASED)


def may_be_erased(delivery: Delivery) -> bool:
    """Say whether nothing will happen to a delivery any more: what is on its way needs an address.

    An uncertain one can still become sent or bounced by a late report, which needs none.
    """
    return delivery.state in FINAL


def scrubbed(event: Event) -> Event:
    """Return a recorded event without addresses, networks, user agents and parts of links."""
    return replace(
        event,
        attempt=_attempt(event.attempt) if event.attempt else None,
        view=_view(event.view) if event.view else None,
    )


def emptied(submission: Submission) -> Submission:
    """Return a submission whose only recipient was erased: its content and its labels are gone."""
    return replace(submission, subject="", dsn="", metadata={}, body=BodyRef())


def without_original(submission: Submission, index: int) -> Submission:
    """Return a submission that no longer names the original address of one of its recipients."""
    try:
        asked = load(submission.dsn)
    except ValueError:
        return replace(submission, dsn="")
    recipients = tuple(
        RecipientRequest(each.notify) if at == index else each
        for at, each in enumerate(asked.recipients)
    )
    kept = dump(DsnRequest(asked.returned, asked.envelope_id, recipients))
    return replace(submission, dsn=kept)


def _attempt(facts: AttemptFacts) -> AttemptFacts:
    return replace(
        facts, details=_ADDRESS.sub(GONE, facts.details), reply=_ADDRESS.sub(GONE, facts.reply)
    )


def _view(facts: ViewFacts) -> ViewFacts:
    # Behind the question mark stands what tells one reader's link from another's.
    link = re.split(r"[?#]", facts.url, maxsplit=1)[0]
    return replace(facts, ip_address="", network="", user_agent="", url=_ADDRESS.sub(GONE, link))
