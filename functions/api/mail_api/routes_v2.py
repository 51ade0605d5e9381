"""The native API: real HTTP codes, plain JSON."""

import re
from collections.abc import Callable
from typing import cast

from chalice.app import Chalice, Request, Response

from mail_api import webhook_routes
from mail_api.holding import ACTIONS, STATUS, end_hold
from mail_api.postal_envelope import Json, PostalError
from mail_api.reading import find_message
from mail_api.records import message_record
from mail_api.sending import identify
from mail_api.wiring import Api

_ID = re.compile(r"[0-9]{1,20}\Z")
KEY_HEADER = "x-server-api-key"
_STATUS = {"AccessDenied": 401, "InvalidServerAPIKey": 401, "ServerSuspended": 403}


def add_routes(app: Chalice, api: Callable[[], Api]) -> None:
    """Add the v2 routes to `app`."""

    @app.route("/api/v2/messages/{message_id}", methods=["GET"])
    def get_message(message_id: str) -> Response:
        request = cast("Request", app.current_request)
        try:
            server, _ = identify(
                api(), request.headers.get(KEY_HEADER), request.context["identity"]["sourceIp"]
            )
        except PostalError as error:
            return _problem(_STATUS[error.code], error.code, error.message or "")
        found = find_message(api(), server, int(message_id)) if _ID.match(message_id) else None
        record = message_record(api(), *found) if found else None
        if record is None:
            return _problem(404, "MessageNotFound", "There is no message with that id")
        return Response(record)

    webhook_routes.add_routes(app, api)

    for action in ACTIONS:
        _add_action(app, action, api)


def _add_action(app: Chalice, action: str, api: Callable[[], Api]) -> None:
    # An empty list of content types lets all through: the call has no body to read.
    @app.route(f"/api/v2/messages/{{message_id}}/{action}", methods=["POST"], content_types=[],
               name=action)  # fmt: skip
    def act(message_id: str) -> Response:
        request = cast("Request", app.current_request)
        try:
            caller = identify(
                api(), request.headers.get(KEY_HEADER), request.context["identity"]["sourceIp"]
            )
            id_ = int(message_id) if _ID.match(message_id) else 0
            return Response(end_hold(action, api(), caller, id_))
        except PostalError as error:
            return _problem(_STATUS[error.code], error.code, error.message or "")
        except tuple(STATUS) as error:
            return _problem(STATUS[type(error)], error.code, str(error))


def _problem(status: int, code: str, message: str) -> Response:
    body: Json = {"error": {"code": code, "message": message}}
    return Response(body, status_code=status)
