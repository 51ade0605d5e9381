"""The app and Postal's v1 routes. Any outcome of a handled request is HTTP 200 (its contract)."""

import time
from collections.abc import Callable
from typing import Any, cast

from chalice.app import Chalice, Request, Response

from mail_api import routes_v2
from mail_api.params import Params, read_params
from mail_api.postal_envelope import ParameterError, PostalError, failure, success
from mail_api.sending import Caller, identify, list_deliveries, send_message, send_raw
from mail_api.wiring import Api
from mailroom.adapters.chalice_http import BodyTooLargeError, read_body

KEY_HEADER = "x-server-api-key"
_METHODS = ["POST", "GET", "PUT", "PATCH"]

Call = Callable[[Api, Caller, Params], Any]

_CALLS: dict[str, Call] = {
    "/api/v1/send/message": send_message,
    "/api/v1/send/raw": send_raw,
    "/api/v1/messages/deliveries": list_deliveries,
}


def create_app(api: Callable[[], Api]) -> Chalice:
    """Return the app. `api` is called by the first request that needs it, not before."""
    app = Chalice(app_name="mail-api", configure_logs=False, env={})

    @app.route("/health", methods=["GET"])
    def health() -> Response:
        return Response({"status": "ok"})

    for path, call in _CALLS.items():
        _add_v1(app, path, call, api)
    routes_v2.add_routes(app, api)
    return app


def _add_v1(app: Chalice, path: str, call: Call, api: Callable[[], Api]) -> None:
    # An empty list of content types lets all through; the body's reader decides, as in Postal.
    @app.route(path, methods=_METHODS, content_types=[], name=path.rsplit("/", 1)[-1])
    def view() -> Response:
        started = time.perf_counter()
        try:
            content = _called(cast("Request", app.current_request), call, api())
        except (PostalError, ParameterError) as error:
            return Response(failure(error, time.perf_counter() - started))
        return Response(success(content, time.perf_counter() - started))


def _called(request: Request, call: Call, api: Api) -> Any:
    server, credential = identify(api, request.headers.get(KEY_HEADER))
    caller = Caller(server, credential, request.context["identity"]["sourceIp"])
    return call(api, caller, _params(request, api.max_body))


def _params(request: Request, limit: int) -> Params:
    try:
        body = read_body(request, limit)
    except BodyTooLargeError as error:
        raise ParameterError(str(error)) from error
    query = request.query_params.get("params") if request.query_params else None
    return read_params(request.headers.get("content-type", ""), body, query)
