"""Messages and their history as the API shows them."""

import hashlib
from collections.abc import Sequence

from mail_api.v2.models.messages import (
    Attachment,
    Attempt,
    Bodies,
    Message,
    MessageDetail,
    MessageEvent,
    Moved,
    Sight,
)
from mailroom.domain.event import Event, EventType
from mailroom.domain.message import Delivery, Submission
from mailroom.domain.message_parts import MessageParts
from mailroom.domain.search_keys import tags_of
from mailroom.domain.stored_message import StoredMessage
from mailroom.domain.visit import is_person
from mailroom.usecases.message_detail import MessageDetail as Detail

MAX_EVENTS = 100  # in the detail of a message


def listed(message: StoredMessage) -> Message:
    """Return a message as lists show it."""
    shown = _message(message.submission, message.delivery)
    last = event_view(message.last) if message.last else None
    return Message.model_validate({**shown, "last_event": last})


def detailed(detail: Detail, token: str) -> MessageDetail:
    """Return a message with the newest MAX_EVENTS of its history."""
    submission, delivery = detail.submission, detail.delivery
    events = history(detail)
    shown = events[-MAX_EVENTS:]
    kinds = [each.type for each in shown]
    return MessageDetail.model_validate(
        {
            **_message(submission, delivery),
            "last_event": events[-1],
            "token": token,
            "metadata": dict(submission.metadata),
            "send_at": submission.send_at,
            "uncertain": delivery.uncertain,
            "released": delivery.manual,
            "opens": kinds.count(EventType.OPENED),
            "clicks": kinds.count(EventType.CLICKED),
            "events": shown,
            "has_more_events": len(events) > len(shown),
        }
    )


def history(detail: Detail) -> Sequence[MessageEvent]:
    """Return all that happened, oldest first. It begins with the acceptance, stored or not."""
    events = [event_view(event) for event in detail.events]
    if any(each.type == EventType.ACCEPTED for each in events):
        return events
    accepted = MessageEvent(type=str(EventType.ACCEPTED), at=detail.submission.accepted_at)
    return [accepted, *events]


def event_view(event: Event) -> MessageEvent:
    """Return one fact with what belongs to its kind."""
    seen, view = event.attempt, event.view
    return MessageEvent(
        type=str(event.type),
        at=event.at,
        attempt=Attempt.model_validate(seen, from_attributes=True) if seen else None,
        view=Sight(
            url=view.url,
            ip_address=view.ip_address,
            network=view.network,
            user_agent=view.user_agent,
            verdict=view.verdict,
            is_person=is_person(view),
        )
        if view
        else None,
    )


def bodies_view(parts: MessageParts) -> Bodies:
    """Return the texts, and what there is to know of the attachments."""
    files = [
        Attachment(
            number=number,
            name=file.name,
            content_type=file.media_type,
            size=len(file.content),
            sha256=hashlib.sha256(file.content).hexdigest(),
        )
        for number, file in enumerate(parts.files, start=1)
    ]
    return Bodies(text=parts.plain, html=parts.html, attachments=files)


def moved(delivery: Delivery) -> Moved:
    """Return how a message stands after something was done to it."""
    return Moved(
        id=delivery.key.postal_id,
        state=delivery.state,
        attempts=delivery.attempts,
        due_at=delivery.due_at,
        expires_at=delivery.expires_at,
    )


def _message(submission: Submission, delivery: Delivery) -> dict[str, object]:
    return {
        "id": delivery.key.postal_id,
        "state": delivery.state,
        "recipient": delivery.recipient,
        "sender": submission.from_address,
        "mail_from": submission.mail_from,
        "subject": submission.subject,
        "message_id": submission.message_id,
        "tag": submission.tag,
        "tags": list(tags_of(submission)),
        "stream": submission.stream,
        "size": submission.size,
        "source": submission.source,
        "bounce": submission.bounce,
        "attempts": delivery.attempts,
        "accepted_at": submission.accepted_at,
        "expires_at": delivery.expires_at,
        "due_at": delivery.due_at,
    }
