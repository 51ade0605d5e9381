"""One message as `messages/message` shows it: Postal's fields, names and types."""

import binascii
import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from mail_api.postal_envelope import Json
from mail_api.wiring import Api
from mailroom.domain.event import Event, EventType
from mailroom.domain.headers import fields, split
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey, Submission
from mailroom.domain.message_parts import File, MessageParts, read_parts
from mailroom.domain.postal_words import message_status
from mailroom.domain.token import message_token
from mailroom.errors import BodyGoneError
from mailroom.usecases.raw_message import raw_message

_LINE = 60  # characters: how Ruby breaks base64


@dataclass(frozen=True)
class _Message:
    """What the expansions read; history and body are fetched when the first one needs them."""

    api: Api
    submission: Submission
    delivery: Delivery

    @cached_property
    def history(self) -> Sequence[Event]:
        return self.api.ports.ledger.history(self.delivery.key)

    @cached_property
    def raw(self) -> bytes | None:
        """The message as accepted; None when its retention is over."""
        try:
            ports = self.api.ports
            return raw_message(self.submission, ports.bodies, ports.clock.now())
        except BodyGoneError:
            return None

    @cached_property
    def parts(self) -> MessageParts:
        return MessageParts() if self.raw is None else read_parts(self.raw)


def expanded(
    api: Api,
    submission: Submission,
    delivery: Delivery,
    key: DeliveryKey,
    expansions: Collection[str],
) -> Json:
    """Return id, token and the named expansions, JSON-ready.

    What is made of the body is null when the body is not stored any more.
    """
    message = _Message(api, submission, delivery)
    shown: Json = {"id": key.postal_id, "token": message_token(key, api.token_secret())}
    return shown | {name: show(message) for name, show in _SHOWN.items() if name in expansions}


def mime_base64(octets: bytes) -> str:
    """Return base64 as Ruby writes it: lines of 60 characters, each ended by LF, the last too."""
    text = binascii.b2a_base64(octets, newline=False).decode()
    return "".join(text[at : at + _LINE] + "\n" for at in range(0, len(text), _LINE))


def _status(message: _Message) -> Json:
    delivery = message.delivery
    held = delivery.state is State.HELD
    attempts = [event.at for event in message.history if event.attempt]
    return {
        "status": message_status(delivery.state, {event.type for event in message.history}),
        "last_delivery_attempt": attempts[-1] if attempts else None,
        "held": held,
        "hold_expiry": delivery.due_at if held else None,
    }


def _details(message: _Message) -> Json:
    submission = message.submission
    return {
        "rcpt_to": message.delivery.recipient,
        "mail_from": submission.mail_from,
        "subject": submission.subject,
        "message_id": submission.message_id,
        "timestamp": submission.accepted_at,
        "direction": "outgoing",
        "size": str(submission.size),  # Postal's column is text, and clients expect that
        "bounce": submission.bounce,
        "bounce_for_id": 0,
        "tag": submission.tag,
        "received_with_ssl": submission.received_with_ssl,
    }


def _inspection(_: _Message) -> Json:
    return {
        "inspected": False,
        "spam": False,
        "spam_score": 0.0,
        "threat": False,
        "threat_details": None,
    }


def _attachments(message: _Message) -> list[Json] | None:
    return None if message.raw is None else [_file(file) for file in message.parts.files]


def _file(file: File) -> Json:
    return {
        "filename": file.name,
        "content_type": file.media_type,
        "data": mime_base64(file.content),
        "size": len(file.content),
        # Names the content and protects nothing: Postal's clients compare it.
        "hash": hashlib.sha1(file.content, usedforsecurity=False).hexdigest(),
    }


def _headers(message: _Message) -> dict[str, list[str]] | None:
    if message.raw is None:
        return None
    found: dict[str, list[str]] = {}
    for field in fields(split(message.raw)[0]):
        found.setdefault(field.name, []).append(field.text)
    return found


def _activity(message: _Message) -> Json:
    def seen(type_: EventType) -> list[Json]:
        return [_view(event) for event in message.history if event.type is type_]

    return {"loads": seen(EventType.OPENED), "clicks": seen(EventType.CLICKED)}


def _view(event: Event) -> Json:
    view = event.view
    shown: Json = {
        "ip_address": view.ip_address if view else "",
        "user_agent": view.user_agent if view else "",
        "timestamp": _iso(event.at),
    }
    return shown | ({"url": view.url} if view and event.type is EventType.CLICKED else {})


def _iso(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


_SHOWN: dict[str, Callable[[_Message], object]] = {
    "status": _status,
    "details": _details,
    "inspection": _inspection,
    "plain_body": lambda message: message.parts.plain,
    "html_body": lambda message: message.parts.html,
    "attachments": _attachments,
    "headers": _headers,
    "raw_message": lambda message: None if message.raw is None else mime_base64(message.raw),
    "activity_entries": _activity,
}
