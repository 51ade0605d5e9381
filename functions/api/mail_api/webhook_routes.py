"""The history of a server's webhooks, and calling again what was in it.

    GET  /api/v2/webhooks/{id}/deliveries?limit=50&cursor=...
    POST /api/v2/webhooks/{id}/replay      {"uuid"} or {"from", "to", "only_failed"}

A key sees the webhooks of its own server, those of its organisation included; all others do not
exist for it.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from chalice.app import Chalice, Request, Response

from mail_api.postal_envelope import Json, PostalError
from mail_api.sending import identify
from mail_api.wiring import Api, webhook_calls
from mailroom.adapters.chalice_http import BodyTooLargeError, read_body
from mailroom.domain.message import Server, Webhook
from mailroom.errors import HandOverError
from mailroom.ports import NotificationHistory, Notifications, Try, TryPage
from mailroom.usecases.replay import Range, ReplayPorts, UnknownCallError, replay_one, replay_range

KEY_HEADER = "x-server-api-key"
DEFAULT_PAGE = 50
MAX_PAGE = 100
MAX_BODY = 4_096  # octets
_STATUS = {"AccessDenied": 401, "InvalidServerAPIKey": 401, "ServerSuspended": 403}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_UUID = re.compile(r"[0-9A-Fa-f-]{1,64}\Z")
_RANGE_KEYS = {"from", "to", "only_failed"}


class Calls(NotificationHistory, Notifications, Protocol):
    """The webhook queue and its history in one."""


class _RefusedError(Exception):
    """The request is not done; `status` is the HTTP code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def add_routes(
    app: Chalice, api: Callable[[], Api], calls: Callable[[], Calls] = webhook_calls
) -> None:
    """Add the webhook routes to `app`. `calls` is asked for by the first request that needs it."""

    @app.route("/api/v2/webhooks/{webhook_id}/deliveries", methods=["GET"])
    def list_webhook_deliveries(webhook_id: str) -> Response:
        request = cast("Request", app.current_request)
        return _answered(lambda: _deliveries(request, webhook_id, api(), calls()))

    @app.route("/api/v2/webhooks/{webhook_id}/replay", methods=["POST"], content_types=[])
    def replay_webhook(webhook_id: str) -> Response:
        request = cast("Request", app.current_request)
        return _answered(lambda: _replayed(request, webhook_id, api(), calls()))


def _answered(act: Callable[[], Response]) -> Response:
    try:
        return act()
    except _RefusedError as error:
        code, status, message = error.code, error.status, str(error)
    except PostalError as error:
        code, status, message = error.code, _STATUS[error.code], error.message or ""
    except HandOverError:
        code, status, message = "Unavailable", 503, "The queue took nothing more; ask again"
    return Response({"error": {"code": code, "message": message}}, status_code=status)


def _deliveries(request: Request, id_: str, api: Api, calls: Calls) -> Response:
    server, _ = identify(
        api, request.headers.get(KEY_HEADER), request.context["identity"]["sourceIp"]
    )
    webhook = _own(api, server, id_)
    query: Mapping[str, str] = request.query_params or {}
    limit = _limit(query.get("limit", str(DEFAULT_PAGE)))
    try:
        page = calls.page(server.id, id_, limit=limit, cursor=query.get("cursor", ""))
    except ValueError:
        raise _invalid("cursor is not one that this webhook's history gave") from None
    if webhook is None and not page.tries:
        raise _unknown()
    return Response(_shown(page))


def _replayed(request: Request, id_: str, api: Api, calls: Calls) -> Response:
    server, _ = identify(
        api, request.headers.get(KEY_HEADER), request.context["identity"]["sourceIp"]
    )
    webhook = _own(api, server, id_)
    if webhook is None:
        raise _unknown()
    wanted = _wanted(request)
    ports = ReplayPorts(calls, calls, api.ports.clock)
    if isinstance(wanted, Range):
        done = replay_range(webhook, wanted, ports)
        answer: Json = {"replayed": done.replayed, "next_from": done.next_from}
        return Response(answer, status_code=202)
    try:
        replay_one(webhook, wanted, ports)
    except UnknownCallError:
        raise _RefusedError(404, "DeliveryNotFound", "No such call is kept whole") from None
    return Response({"replayed": 1, "next_from": None}, status_code=202)


def _own(api: Api, server: Server, id_: str) -> Webhook | None:
    if not _ID.match(id_):
        raise _unknown()
    found = (hook for hook in api.ports.directory.webhooks(server.id) if hook.id == id_)
    return next(found, None)


def _wanted(request: Request) -> str | Range:
    body = _body(request)
    if set(body) == {"uuid"}:
        uuid = body["uuid"]
        if not isinstance(uuid, str) or not _UUID.match(uuid):
            raise _invalid("uuid must be the uuid of a call")
        return uuid.lower()
    if not {"from", "to"} <= set(body) <= _RANGE_KEYS:
        raise _invalid('give "uuid", or "from" and "to" with "only_failed" if you like')
    start, end, failed = _moment(body["from"]), _moment(body["to"]), body.get("only_failed", False)
    if start is None or end is None or start > end:
        raise _invalid("from and to must be Unix seconds, from not after to")
    if not isinstance(failed, bool):
        raise _invalid("only_failed must be true or false")
    return Range(start, end, only_failed=failed)


def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(read_body(request, MAX_BODY))
    except BodyTooLargeError:
        raise _RefusedError(413, "TooLarge", f"The body is over {MAX_BODY} octets") from None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise _invalid("the body must be a JSON object")
    return body


def _moment(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    fit = 0 <= value <= 1e11 and math.isfinite(value)
    return float(value) if fit else None


def _limit(text: str) -> int:
    if not re.match(r"[0-9]{1,3}\Z", text) or not 1 <= int(text) <= MAX_PAGE:
        raise _invalid(f"limit must be a number from 1 to {MAX_PAGE}")
    return int(text)


def _shown(page: TryPage) -> Json:
    return {
        "deliveries": [shown_try(each) for each in page.tries],
        "next_cursor": page.cursor or None,
    }


def shown_try(each: Try) -> Json:
    """Return one try as histories show it."""
    made, answer = each.made, each.answer
    return {
        "uuid": made.uuid,
        "event": made.event,
        "url": made.url,
        "attempt": made.attempt,
        "at": each.at,
        "replay": made.replay,
        "will_retry": answer.will_retry,
        "request": {"body": made.body, "truncated": not each.is_whole},
        "response": {
            "status": answer.status or None,
            "body": answer.body,
            "problem": answer.problem or None,
            "seconds": answer.seconds,
        },
    }


def _invalid(message: str) -> _RefusedError:
    return _RefusedError(422, "InvalidRequest", message)


def _unknown() -> _RefusedError:
    return _RefusedError(404, "WebhookNotFound", "There is no webhook with that id")
