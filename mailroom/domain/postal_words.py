"""Our facts in Postal's words: the one place where its wire names are spelled.

Shared by the v1 API and the webhooks. Field names, status names and event names are exact, because
clients compare them as strings.
"""

from collections.abc import Collection, Mapping
from typing import Any
from zlib import crc32

from mailroom.domain.event import Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, Server, Submission

STATUS: Mapping[EventType, str] = {
    EventType.SENT: "Sent",
    EventType.DEFERRED: "SoftFail",
    EventType.DELAYED: "SoftFail",
    EventType.UNCERTAIN: "SoftFail",  # of one that may be tried again; see `status_word`
    EventType.BOUNCED: "HardFail",
    EventType.EXPIRED: "HardFail",
    EventType.HELD: "Held",
    EventType.SUPPRESSED: "HardFail",
    EventType.CANCELLED: "HoldCancelled",
}

_STATES: Mapping[State, str] = {
    State.SCHEDULED: "Pending",
    State.QUEUED: "Pending",
    State.DEFERRED: "SoftFail",
    State.SENT: "Sent",
    State.EXPIRED: "HardFail",
    State.UNCERTAIN: "HardFail",
    State.HELD: "Held",
    State.CANCELLED: "HoldCancelled",
    State.SUPPRESSED: "HardFail",
}

_TRIED = frozenset({EventType.DEFERRED, EventType.DELAYED, EventType.UNCERTAIN})
_FAILED = "MessageDeliveryFailed"
_EVENTS: Mapping[EventType, str] = {
    EventType.HELD: "MessageHeld",
    EventType.SENT: "MessageSent",
    EventType.DEFERRED: "MessageDelayed",
    EventType.DELAYED: "MessageDelayed",
    EventType.UNCERTAIN: "MessageDelayed",
    EventType.BOUNCED: _FAILED,
    EventType.EXPIRED: _FAILED,
    EventType.SUPPRESSED: _FAILED,
    EventType.CLICKED: "MessageLinkClicked",
    EventType.OPENED: "MessageLoaded",
}


# Every name a webhook may choose, those of Postal that cannot be chosen there included.
WEBHOOK_EVENTS = frozenset(
    {
        *_EVENTS.values(),
        "MessageBounced",
        "DomainDNSError",
        "DomainDNSRecovered",  # Postal only tells of the error
        "SendLimitApproaching",
        "SendLimitExceeded",
        "ServerBrakeWarned",  # Postal has no brakes
        "ServerBrakeHeld",
        "ServerBrakeLifted",
    }
)


def webhook_event(type_: EventType, *, final: bool) -> str | None:
    """Return the name of the webhook event for a fact; `final` is that of its attempt.

    None for what Postal sends no webhook about: a released or cancelled hold. For opens and
    clicks `final` means nothing.
    """
    if type_ is EventType.UNCERTAIN and final:
        return _FAILED
    return _EVENTS.get(type_)


def status_word(type_: EventType, *, final: bool) -> str:
    """Return Postal's status. Raises KeyError for what has none, an open for instance."""
    if type_ is EventType.UNCERTAIN and final:
        return "HardFail"
    return STATUS[type_]


def message_status(state: State, told: Collection[EventType]) -> str:
    """Return Postal's status of a message; `told` holds the types of its events so far."""
    if state is State.BOUNCED:
        return "Bounced" if EventType.SENT in told else "HardFail"  # a report came after the 250
    if state is State.ATTEMPTING:
        return "SoftFail" if _TRIED.intersection(told) else "Pending"
    return _STATES[state]


def message_object(submission: Submission, delivery: Delivery, token: str) -> dict[str, Any]:
    """Return the message object that Postal's webhooks carry, JSON-ready.

    `from` is the envelope sender as submitted; `timestamp` Unix seconds.
    """
    return {
        "id": delivery.key.postal_id,
        "token": token,
        "direction": "outgoing",
        "message_id": submission.message_id,
        "to": delivery.recipient,
        "from": submission.mail_from,
        "subject": submission.subject,
        "timestamp": submission.accepted_at,
        "spam_status": "NotChecked",
        "tag": submission.tag,
    }


def server_object(server: Server) -> dict[str, Any]:
    """Return the server object of Postal's webhooks about a server, JSON-ready."""
    return {
        "uuid": server.id,
        "name": server.name,
        "permalink": server.permalink,
        "organization": server.organisation,
    }


def delivery_entry(event: Event) -> dict[str, Any]:
    """Return one entry of `messages/deliveries` for the event of an attempt, JSON-ready.

    Raises ValueError for an open or a click, which Postal does not list there. `time` is how many
    seconds the attempt took, `timestamp` Unix seconds.
    """
    seen = event.attempt
    if seen is None:
        raise ValueError("only attempts are entries of messages/deliveries")
    return {
        "id": _entry_id(event),
        "status": status_word(event.type, final=seen.final),
        "details": seen.details,
        "output": seen.reply,
        "sent_with_ssl": seen.tls,
        "log_id": seen.log_id,
        "time": seen.seconds,
        "timestamp": event.at,
    }


def _entry_id(event: Event) -> int:
    """Return a stable integer below 2^53 that grows with time and needs no counter."""
    return (round(event.at * 1000) << 10) | (crc32(event.id.encode()) & 0x3FF)
