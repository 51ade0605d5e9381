"""The whole API behind one handler: Postal's v1 at once, the management API when first asked.

The schemas of the management API take longer to load than a message takes to be accepted, so a
process that serves v1 alone never loads them.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice

from mail_api.routes import create_app
from mail_api.wiring import Api
from mailroom.adapters.chalice_http import Handler

if TYPE_CHECKING:
    from mail_api.v2.desk import Desk

V2 = "/api/v2/"


def door(
    app: Chalice,
    api: Callable[[], Api],
    desk: "Callable[[], Desk]",
    serving: Callable[[Chalice], Handler],
) -> Handler:
    """Return the handler of `app` and, for paths below `/api/v2`, of the app that has it all.

    `serving` puts an app behind an HTTP API (`http_api` with the limits of the process).
    """
    plain = serving(app)

    @cache
    def whole() -> Handler:
        return serving(create_whole(api, desk))

    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        if not str(event.get("rawPath", "")).startswith(V2):
            return plain(event, context)
        return in_one_shape(whole()(event, context), event)

    return handler


_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    500: "internal_error",
}


def in_one_shape(answer: dict[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with the adapter's own refusals (`{"Code", "Message"}`) in the shape that
    all refusals of the management API have."""
    body = answer["body"]
    if answer["statusCode"] < 400 or not str(body).startswith('{"Code"'):
        return answer
    error = {
        "code": _CODES.get(answer["statusCode"], "refused"),
        "message": json.loads(body)["Message"],
        "fields": [],
        "request_id": event["requestContext"].get("requestId", ""),
    }
    return {**answer, "body": json.dumps({"error": error})}


def create_whole(api: Callable[[], Api], desk: "Callable[[], Desk]") -> Chalice:
    """Return the app with every route there is."""
    from mail_api.v2.serve import add_operations
    from mail_api.v2.table import by_path

    app = create_app(api)
    add_operations(app, desk, by_path())
    return app


def lazy_desk(api: Callable[[], Api]) -> "Callable[[], Desk]":
    """Return a function that builds the desk at its first call and keeps it."""

    @cache
    def desk() -> "Desk":
        from mail_api.v2.wiring import desk_of

        return desk_of(api)

    return desk
