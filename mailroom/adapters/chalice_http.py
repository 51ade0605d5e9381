"""An HTTP API (payload format 2.0) in front of a Chalice app, which speaks REST API events.

One `$default` route costs a third of a REST API, has no stage in the path and needs no Terraform
per route; this adapter finds the route, translates both ways and writes the one log line of an
invocation. Shared by every function with an HTTP surface. Source: AWS, "Create AWS Lambda proxy
integrations for HTTP APIs", and chalice 1.34 `app.Request`.
"""

import base64
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from chalice.app import Chalice, Request

from mailroom.adapters.lambda_limits import Passage

MAX_BODY = 32 * 1024 * 1024  # octets; an app with a smaller limit asks `read_body`
MAX_QUERY_FIELDS = 1_000
_MAX_LOGGED_PATH = 300

Json = dict[str, Any]
Handler = Callable[[Mapping[str, Any], Any], Json]

_JSON = {"content-type": "application/json"}
_trace: ContextVar[str | None] = ContextVar("trace", default=None)


class HeldBody(Protocol):
    """A body that lies elsewhere, as the `body` of an event; a host keeps large ones in files."""

    @property
    def octets(self) -> int:
        """Return its length."""

    def encode(self, encoding: str, /) -> bytes:
        """Return its octets. Chalice asks a text for them by this name, and this is no text."""


class BodyTooLargeError(Exception):
    """The body is longer than `limit` octets. It was neither decoded nor parsed."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body is larger than {limit} octets")
        self.limit = limit


def http_api(app: Chalice, *, max_body: int = MAX_BODY, passage: Passage | None = None) -> Handler:
    """Return the Lambda handler that serves `app` behind an HTTP API.

    It never raises: an unknown path is 404, a wrong method 405, a body over `max_body` octets 413,
    any exception 500, all as JSON `{"Code", "Message"}`; a stack trace goes to the log only.
    `passage` is what an event and an answer must fit through, 413 if they do not.
    Writes exactly one line to standard error per call, without headers, bodies or query.
    """
    # Otherwise Chalice refuses to send octets unless the Accept header names their type.
    app.api.binary_types = []
    app.log.handlers = [_TraceKeeper()]
    app.log.propagate = False
    routes = _Routes(app)

    def handler(event: Mapping[str, Any], context: Any) -> Json:
        started = time.perf_counter()
        _trace.set(None)
        try:
            answer = _answer(app, routes, event, context, max_body, passage)
            if passage and not passage.lets_through(answer["body"]):
                answer = _problem(413, "ResponseTooLargeError", passage.answer_refused())
        except Exception:  # noqa: BLE001  # the boundary: a caller must get an HTTP answer
            _trace.set(traceback.format_exc())
            answer = _problem(500, "InternalServerError", "An internal server error occurred.")
        _log_line(event, answer["statusCode"], time.perf_counter() - started)
        return answer

    return handler


def read_body(request: Request, limit: int) -> bytes:
    """Return the request's body as octets.

    Raises BodyTooLargeError, before decoding anything, if it is longer than `limit` octets.
    """
    if body_octets(request.to_original_event()) > limit:
        raise BodyTooLargeError(limit)
    body = request.to_original_event().get("body")
    if body is not None and not isinstance(body, str):
        held: bytes = body.encode("utf-8")  # not by way of Chalice, which would keep a copy
        return held
    given = request.raw_body
    return given.encode() if isinstance(given, str) else given


def body_octets(event: Mapping[str, Any]) -> int:
    """Return the length of an event's body in octets without decoding it."""
    body: str | HeldBody = event.get("body") or ""
    if not isinstance(body, str):
        return body.octets
    if event.get("isBase64Encoded"):
        return len(body) * 3 // 4 - body[-2:].count("=")
    # A character is at least one octet, so what is surely too long is not even encoded.
    return len(body) if len(body) > MAX_BODY else len(body.encode("utf-8", "replace"))


class _Routes:
    """The app's paths, literal segments before `{parameters}`."""

    def __init__(self, app: Chalice) -> None:
        self._app = app

    @cached_property
    def _by_length(self) -> dict[int, list[tuple[Sequence[str], str]]]:
        # Read at the first call: routes may be added after the handler is made.
        found: dict[int, list[tuple[Sequence[str], str]]] = {}
        for path in self._app.routes:
            segments = _segments(path)
            found.setdefault(len(segments), []).append((segments, path))
        for known in found.values():
            known.sort(key=lambda route: [_is_parameter(segment) for segment in route[0]])
        return found

    def find(self, path: str) -> tuple[str, dict[str, str]] | None:
        """Return the matching route and its parameters, unquoted, or None."""
        segments = _segments(path)
        for pattern, resource in self._by_length.get(len(segments), []):
            pairs = list(zip(pattern, segments, strict=True))
            if all(_is_parameter(name) or name == given for name, given in pairs):
                return resource, {n[1:-1]: unquote(g) for n, g in pairs if _is_parameter(n)}
        return None


def _segments(path: str) -> Sequence[str]:
    return path.strip("/").split("/")


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")


def _answer(
    app: Chalice,
    routes: _Routes,
    event: Mapping[str, Any],
    context: Any,
    max_body: int,
    passage: Passage | None,
) -> Json:
    route = routes.find(event["rawPath"])
    if route is None:
        return _problem(404, "NotFoundError", "There is nothing at this path.")
    if passage and not passage.lets_through(event.get("body")):
        return _problem(413, "RequestEntityTooLargeError", passage.request_refused())
    if body_octets(event) > max_body:
        return _problem(
            413, "RequestEntityTooLargeError", f"The body is larger than {max_body} octets."
        )
    try:
        query = _query(event.get("rawQueryString") or "")
    except ValueError:
        return _problem(400, "BadRequestError", "The query string has too many fields.")
    return _to_http(app(_to_rest(event, route, query), context))


def _to_rest(
    event: Mapping[str, Any],
    route: tuple[str, dict[str, str]],
    query: dict[str, list[str]] | None,
) -> Json:
    """Return the REST API event (format 1.0) that says the same."""
    http = event["requestContext"]["http"]
    headers = {name.lower(): value for name, value in event.get("headers", {}).items()}
    if event.get("cookies"):
        headers["cookie"] = "; ".join(event["cookies"])
    return {
        "resource": route[0],
        "path": event["rawPath"],
        "httpMethod": http["method"],
        "headers": headers,
        # The gateway has joined repeated headers with commas; a value may hold commas itself.
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {n: v[-1] for n, v in query.items()} if query else None,
        "multiValueQueryStringParameters": query,
        "pathParameters": route[1] or None,
        "stageVariables": event.get("stageVariables"),
        "body": event.get("body"),
        "isBase64Encoded": bool(event.get("isBase64Encoded")),
        "requestContext": {
            "httpMethod": http["method"],
            "resourcePath": route[0],
            "path": event["rawPath"],
            "requestId": event["requestContext"].get("requestId", ""),
            "domainName": event["requestContext"].get("domainName", ""),
            "identity": {
                "sourceIp": http.get("sourceIp", ""),
                "userAgent": http.get("userAgent", ""),
            },
        },
    }


def _query(raw: str) -> dict[str, list[str]] | None:
    # The gateway's own parameters join repeated fields with commas; the raw string does not.
    return parse_qs(raw, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS) or None


def _to_http(answer: Mapping[str, Any]) -> Json:
    """Return a REST API answer as an HTTP API answer."""
    headers = {name.lower(): str(value) for name, value in answer["headers"].items()}
    repeated = {name.lower(): values for name, values in answer["multiValueHeaders"].items()}
    cookies = repeated.pop("set-cookie", [])
    if "set-cookie" in headers:
        cookies = [*cookies, headers.pop("set-cookie")]
    headers |= {name: ", ".join(values) for name, values in repeated.items()}
    body = answer["body"]
    encoded = isinstance(body, bytes)
    return {
        "statusCode": answer["statusCode"],
        "headers": _JSON | headers,
        **({"cookies": cookies} if cookies else {}),
        "body": base64.b64encode(body).decode() if encoded else body,
        "isBase64Encoded": encoded,
    }


def _problem(status: int, code: str, message: str) -> Json:
    return {
        "statusCode": status,
        "headers": dict(_JSON),
        "body": json.dumps({"Code": code, "Message": message}),
        "isBase64Encoded": False,
    }


def _log_line(event: Mapping[str, Any], status: int, seconds: float) -> None:
    context = event.get("requestContext", {})
    line = {
        "event": "http",
        "method": context.get("http", {}).get("method", ""),
        "path": str(event.get("rawPath", ""))[:_MAX_LOGGED_PATH],
        "status": status,
        "ms": round(seconds * 1000, 1),
        "request_id": context.get("requestId", ""),
    }
    if _trace.get():
        line["trace"] = _trace.get()
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


class _TraceKeeper(logging.Handler):
    """Keeps the trace Chalice logs for a failed view, so that it lands in the one line."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            _trace.set("".join(traceback.format_exception(*record.exc_info)))
