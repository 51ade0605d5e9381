"""Webhooks, the history of their calls, tests and replays."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from mail_api.v2.answering import unavailable
from mail_api.v2.crud import Crud, Fields, one, read_cursor, write_cursor
from mail_api.v2.models.base import Page
from mail_api.v2.models.webhooks import (
    CallListing,
    Replay,
    Replayed,
    Tested,
    Webhook,
    WebhookCall,
    WebhookCreate,
    WebhookUpdate,
)
from mail_api.v2.operation import ApiError, Call, Operation, invalid
from mail_api.webhook_routes import shown_try
from mailroom.domain.message import ServerId
from mailroom.domain.message import Webhook as Target
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK, webhook_of
from mailroom.domain.tenancy.resource import Resource
from mailroom.domain.webhook_target import check_webhook
from mailroom.errors import HandOverError, NotFoundError
from mailroom.ports import Notification, NotificationHistory, Notifications
from mailroom.usecases.replay import Range, ReplayPorts, UnknownCallError, replay_one, replay_range

TEST_EVENT = "WebhookTest"


class Calls(NotificationHistory, Notifications, Protocol):
    """The webhook queue and its history in one: the area `webhook_calls`."""


def _made(_: Call, fields: Fields) -> Fields:
    return _checked(dict(fields))


def _merged(_: Call, __: Resource, fields: Fields) -> Fields:
    return _checked(dict(fields))


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        check_webhook(
            Target("new", ServerId(""), fields["url"], frozenset(fields.get("events") or ()))
        )
    except ValueError as error:
        raise invalid("url", str(error)) from error
    return fields


def _crud(path: str, tag: str) -> Crud:
    return Crud(
        kind=WEBHOOK,
        tag=tag,
        path=path,
        parameter="webhook",
        view=Webhook,
        create=WebhookCreate,
        update=WebhookUpdate,
        read_scope=Scope.WEBHOOKS_READ,
        write_scope=Scope.WEBHOOKS_WRITE,
        noun="webhook",
        made=_made,
        merged=_merged,
    )


SERVER = _crud("/servers/{server}/webhooks", "webhooks")
ORGANISATION = _crud("/organisations/{organisation}/webhooks", "organisation_webhooks")


@dataclass(frozen=True, slots=True)
class _Found:
    """A webhook of a server or its organisation, as a server's calls see it."""

    target: Target
    name: str


def _find(call: Call) -> _Found:
    """Return the server's own webhook or its organisation's. Raises NotFoundError."""
    try:
        resource = one(SERVER, call)
    except NotFoundError:
        parent = f"organisation#{call.target.organisation}"
        resource = call.desk.registrar.read(WEBHOOK, parent, call.path["webhook"])
    found = webhook_of(resource)
    server = ServerId(call.target.server)
    target = Target(
        found.id, server, found.url, found.events, found.enabled, found.sign, found.views
    )
    return _Found(target, str(resource.fields["name"]))


def send_test(call: Call) -> Tested:
    """Queue one call of the event `WebhookTest`, signed and retried like any other."""
    found, registrar = _find(call), call.desk.registrar
    now = registrar.clock.now()
    uuid = str(UUID(int=registrar.chance.bits(128), version=4))
    payload = {"webhook": found.target.id, "name": found.name, "server": call.target.server}
    body = {"event": TEST_EVENT, "timestamp": now, "payload": payload, "uuid": uuid}
    notification = Notification(
        uuid=uuid,
        server=found.target.server,
        webhook=found.target.id,
        url=found.target.url,
        event=TEST_EVENT,
        body=json.dumps(body),
        attempt=0,
        first_at=now,
        sign=found.target.sign,
    )
    try:
        _calls(call).enqueue([notification])
    except HandOverError as error:
        raise unavailable(error) from error
    return Tested(uuid=uuid)


def list_calls(call: Call) -> Any:
    """Tries of the last ten days, newest first, with what was sent and what came back."""
    found = _find(call)
    cursor = read_cursor(call.query.cursor)
    try:
        page = _calls(call).page(
            found.target.server, found.target.id, limit=call.query.limit, cursor=cursor
        )
    except ValueError as error:
        raise ApiError(422, "bad_cursor", "The cursor is not one that a page gave") from error
    return {
        "data": [shown_try(each) for each in page.tries],
        "next_cursor": write_cursor(page.cursor) if page.cursor else None,
    }


def replay(call: Call) -> Replayed:
    """Make one call again, or those of a time: to the present URL, with the same uuid and body."""
    found, calls = _find(call), _calls(call)
    ports = ReplayPorts(calls, calls, call.desk.registrar.clock)
    wanted = call.body
    try:
        if wanted.uuid is None:
            span = Range(wanted.from_time, wanted.to_time, only_failed=wanted.only_failed)
            done = replay_range(found.target, span, ports)
            return Replayed(replayed=done.replayed, next_from=done.next_from)
        replay_one(found.target, wanted.uuid.lower(), ports)
    except UnknownCallError:
        raise ApiError(404, "call_not_found", "No such call is kept whole") from None
    except HandOverError as error:
        raise unavailable(error) from error
    return Replayed(replayed=1, next_from=None)


def _calls(call: Call) -> Calls:
    calls: Calls = call.desk.area("webhook_calls")
    return calls


_ONE = "/servers/{server}/webhooks/{webhook}"

OPERATIONS: Sequence[Operation] = (
    *SERVER.operations,
    *ORGANISATION.operations,
    Operation("webhooks.test", "POST", f"{_ONE}/test", "Test a webhook", send_test,
              Scope.WEBHOOKS_WRITE, answer=Tested, status=202),
    Operation("webhooks.calls", "GET", f"{_ONE}/calls", "List the calls of a webhook", list_calls,
              Scope.WEBHOOKS_READ, answer=Page[WebhookCall], query=CallListing),
    Operation("webhooks.replay", "POST", f"{_ONE}/replay", "Make calls of a webhook again",
              replay, Scope.WEBHOOKS_WRITE, answer=Replayed, body=Replay, status=202),
)  # fmt: skip
