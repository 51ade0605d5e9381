"""Turn a fact into the webhook calls that tell of it, in Postal's words."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from mailroom.domain.event import Event
from mailroom.domain.message import ServerId, Views, Webhook, drawn_at
from mailroom.domain.postal_words import (
    delivery_entry,
    message_object,
    server_object,
    webhook_event,
)
from mailroom.domain.server_fact import Fact
from mailroom.domain.token import message_token
from mailroom.domain.visit_rules import Verdict
from mailroom.ports import Clock, Directory, Json, Ledger, Notification

_NAMESPACE = UUID("5b0a4c52-2f0a-4b0e-9d0c-6d2f0a7e3c11")  # of our uuids and no others
_SETTLING_SECONDS = 3600.0
_ATTEMPT_KEYS = ("status", "details", "output", "sent_with_ssl", "timestamp", "time")


class MessageUnseenError(Exception):
    """The message of a young event cannot be read yet; look again."""


@dataclass(frozen=True, slots=True)
class FanOutPorts:
    """The world `fan_out` needs. `token_secret` yields the platform's current token key."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    token_secret: Callable[[], bytes]


def fan_out(fact: Fact, ports: FanOutPorts) -> Sequence[Notification]:
    """Return the calls to queue for a fact: one for each webhook that wants it.

    The same fact gives calls with the same uuids and bodies each time. Empty too when the
    message is past its retention: there is nothing left to tell about it. Raises
    MessageUnseenError when it should be readable but is not.
    """
    name, server = _name(fact), _server(fact)
    if name is None:
        return []
    wanting = [
        webhook for webhook in ports.directory.webhooks(server) if _wants(webhook, name, fact)
    ]
    if not wanting:
        return []
    payload = _payload(fact, ports)
    if payload is None:
        return []
    now = ports.clock.now()
    return [_notification(fact, name, payload, webhook, now) for webhook in wanting]


def _server(fact: Fact) -> ServerId:
    return fact.key.server if isinstance(fact, Event) else fact.server


def _wants(webhook: Webhook, name: str, fact: Fact) -> bool:
    if webhook.events and name not in webhook.events:
        return False
    view = fact.view if isinstance(fact, Event) else None
    machine = view is not None and view.verdict != Verdict.PERSON
    return not (machine and webhook.views is Views.HUMAN)


def _name(fact: Fact) -> str | None:
    if not isinstance(fact, Event):
        return fact.name
    return webhook_event(fact.type, final=fact.attempt is not None and fact.attempt.final)


def _payload(fact: Fact, ports: FanOutPorts) -> Json | None:
    if isinstance(fact, Event):
        return _message_payload(fact, ports)
    server = ports.directory.server(fact.server)
    return None if server is None else {"server": server_object(server), **fact.payload}


def _message_payload(event: Event, ports: FanOutPorts) -> Json | None:
    submission = ports.ledger.submission(event.key.server, event.key.number)
    delivery = ports.ledger.delivery(event.key)
    if submission is None or delivery is None:
        if event.at - drawn_at(event.key.number) < _SETTLING_SECONDS:
            raise MessageUnseenError(str(event.key))
        return None
    secret = ports.token_secret()
    message = message_object(submission, delivery, message_token(event.key, secret))
    return {"message": message, **_particulars(event, secret)}


def _particulars(event: Event, secret: bytes) -> Json:
    if event.view is None:
        entry = delivery_entry(event)
        return {key: entry[key] for key in _ATTEMPT_KEYS}
    seen: Json = {"ip_address": event.view.ip_address, "user_agent": event.view.user_agent}
    # Postal tells of every hit, machines' too; what it has no key for says who it was.
    seen |= {"verdict": event.view.verdict, "rules": event.view.rules}
    if not event.view.url:
        return seen
    return {"url": event.view.url, "token": _link_token(event, secret), **seen}


def _link_token(event: Event, secret: bytes) -> str:
    """Return what Postal has per link: 16 characters, the same for each click of it."""
    url = event.view.url if event.view else ""
    digest = hmac.digest(secret, f"link:{event.key} {url}".encode(), hashlib.sha256)
    return base64.b32encode(digest[:10]).decode()


def _notification(
    fact: Fact, name: str, payload: dict[str, Any], webhook: Webhook, now: float
) -> Notification:
    uuid = str(uuid5(_NAMESPACE, f"{fact.id} {webhook.id}"))
    # The fact's own time, not the time of queueing: a repeat must have the same octets.
    envelope = {"event": name, "timestamp": fact.at, "payload": payload, "uuid": uuid}
    return Notification(
        uuid=uuid,
        server=webhook.server,
        webhook=webhook.id,
        url=webhook.url,
        event=name,
        body=json.dumps(envelope),
        attempt=0,
        first_at=now,
        sign=webhook.sign,
    )
