"""The record of one message for the native API: what it is, how it stands, what happened."""

from mail_api.postal_envelope import Json
from mail_api.wiring import Api
from mailroom.domain.event import Event, EventType
from mailroom.domain.message import DeliveryKey, Submission
from mailroom.domain.token import message_token

_ACCEPTED = EventType.ACCEPTED  # in the history of the first recipient alone; shown for each


def message_record(api: Api, key: DeliveryKey, submission: Submission) -> Json | None:
    """Return the record, JSON-ready; None if the delivery is not stored any more.

    Times are Unix seconds. `events` is oldest first and opens with `accepted`. The state may be
    a moment ahead of the events: they follow through the table's stream.
    """
    ledger = api.ports.ledger
    delivery = ledger.delivery(key)
    if delivery is None:
        return None
    accepted = {"type": "accepted", "at": submission.accepted_at, "source": submission.source}
    return {
        "id": key.postal_id,
        "token": message_token(key, api.token_secret()),
        "state": str(delivery.state),
        "recipient": delivery.recipient,
        "from": submission.from_address,
        "subject": submission.subject,
        "message_id": submission.message_id,
        "tag": submission.tag,
        "size": submission.size,
        "accepted_at": submission.accepted_at,
        "expires_at": delivery.expires_at,
        "attempts": delivery.attempts,
        "uncertain": delivery.uncertain,
        "events": [accepted, *(_event(e) for e in ledger.history(key) if e.type is not _ACCEPTED)],
    }


def _event(event: Event) -> Json:
    """Return one fact with what belongs to its kind."""
    shown: Json = {"type": str(event.type), "at": event.at}
    if event.attempt:
        seen = event.attempt
        shown |= {
            "attempt": seen.attempt,
            "details": seen.details,
            "reply": seen.reply,
            "code": seen.code,
            "phase": seen.phase,
            "mx": seen.mx,
            "tls": seen.tls,
            "seconds": seen.seconds,
            "bounce": seen.bounce,
            "final": seen.final,
        }
    if event.view:
        shown |= {"ip_address": event.view.ip_address, "user_agent": event.view.user_agent}
        shown |= {"url": event.view.url} if event.view.url else {}
    return shown
