"""The native API: real HTTP codes, plain JSON."""

import re
from collections.abc import Callable
from typing import cast

from chalice.app import Chalice, Request, Response

from mail_api.postal_envelope import Json, PostalError
from mail_api.records import message_record
from mail_api.sending import find_message, identify
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
            server, _ = identify(api(), request.headers.get(KEY_HEADER))
        except PostalError as error:
            return _problem(_STATUS[error.code], error.code, error.message or "")
        found = find_message(api(), server, int(message_id)) if _ID.match(message_id) else None
        record = message_record(api(), *found) if found else None
        if record is None:
            return _problem(404, "MessageNotFound", "There is no message with that id")
        return Response(record)


def _problem(status: int, code: str, message: str) -> Response:
    body: Json = {"error": {"code": code, "message": message}}
    return Response(body, status_code=status)
