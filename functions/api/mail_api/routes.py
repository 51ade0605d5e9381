"""The app and Postal's v1 routes. Any outcome of a handled request is HTTP 200 (its contract)."""

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from chalice.app import Chalice, Request, Response

from mail_api import routes_v2
from mail_api.openapi import describe
from mail_api.params import Params, read_params
from mail_api.postal_envelope import Json, ParameterError, PostalError, failure, success
from mail_api.reading import list_deliveries, show_message
from mail_api.sending import READING, SENDING, Caller, identify, send_message, send_raw
from mail_api.wiring import Api
from mailroom.adapters.chalice_http import BodyTooLargeError, read_body
from mailroom.domain.jwks import jwks

KEY_HEADER = "x-server-api-key"
_METHODS = ["POST", "GET", "PUT", "PATCH"]
_JSON: dict[str, str | list[str]] = {"content-type": "application/json"}
_KEYS_KEPT: dict[str, str | list[str]] = {"cache-control": "public, max-age=300"}

Call = Callable[[Api, Caller, Params], Any]

_CALLS: dict[str, Call] = {
    "/api/v1/send/message": send_message,
    "/api/v1/send/raw": send_raw,
    "/api/v1/messages/message": lambda api, caller, params: show_message(
        api, caller.server, params
    ),
    "/api/v1/messages/deliveries": lambda api, caller, params: list_deliveries(
        api, caller.server, params
    ),
}


def create_app(api: Callable[[], Api]) -> Chalice:
    """Return the app. `api` is called by the first request that needs it, not before."""
    app = Chalice(app_name="mail-api", configure_logs=False, env={})

    @app.route("/health", methods=["GET"])
    def health() -> Response:
        return Response({"status": "ok"})

    @app.route("/.well-known/jwks.json", methods=["GET"])
    def signing_keys() -> Response:
        return Response(jwks(api().signing_keys()), headers=_JSON | _KEYS_KEPT)

    @app.route("/api/v1/openapi.json", methods=["GET"])
    def description() -> Response:
        return Response(_description(), headers=_JSON)

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
            return _answer(failure(error, time.perf_counter() - started))
        whole = _answer(success(content, time.perf_counter() - started))
        if _event_octets(whole.body) <= api().max_answer:
            return whole
        return _answer(failure(_too_large(api()), time.perf_counter() - started))


def _called(request: Request, call: Call, api: Api) -> Any:
    address = request.context["identity"]["sourceIp"]
    scopes = SENDING if call in (send_message, send_raw) else READING
    server, credential = identify(api, request.headers.get(KEY_HEADER), address, scopes)
    caller = Caller(server, credential, address)
    return call(api, caller, _params(request, api.max_body, api.elsewhere))


def _params(request: Request, limit: int, elsewhere: str) -> Params:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        # Not even looked at: a small compressed body can unpack to any size.
        raise ParameterError("the request body is compressed: send it without Content-Encoding")
    try:
        body = read_body(request, limit)
    except BodyTooLargeError as error:
        raise ParameterError(f"{error}{elsewhere}") from error
    query = request.query_params.get("params") if request.query_params else None
    return read_params(request.headers.get("content-type", ""), body, query)


def _answer(envelope: Json) -> Response:
    return Response(json.dumps(envelope, separators=(",", ":")), headers=_JSON)


def _event_octets(body: str) -> int:
    """Return the length of an ASCII body inside the function's answer, a JSON string itself."""
    return len(body) + body.count('"') + body.count("\\")


def _too_large(api: Api) -> PostalError:
    return PostalError(
        "ResponseTooLarge",
        f"The answer would be larger than {api.max_answer} octets: ask for fewer expansions at a"
        f" time; raw_message and attachments are the largest{api.elsewhere}",
    )


@cache
def _description() -> str:
    return json.dumps(describe(), separators=(",", ":"))
