"""The in-memory API as a WSGI application, for tools that test any web application."""

import base64
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from tests.support.api_calls import http_event

Start = Callable[[str, list[tuple[str, str]]], Any]


class WsgiApi:
    """Turns each request into the event that an HTTP API would send.

    `api` has a `handler` and a `clock` (MemoryApi, Management).
    """

    def __init__(self, api: Any) -> None:
        self.api = api

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """See PEP 3333."""
        self.api.clock.at += 1.0  # a second of its own: the fake draws the same numbers
        names = {"CONTENT_TYPE": "content-type"}
        headers = {
            names.get(name, name.removeprefix("HTTP_").replace("_", "-").lower()): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or (name in names and value)
        }
        event = http_event(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
            headers=headers,
            query=environ.get("QUERY_STRING", ""),
        )
        answer = self.api.handler(event, None)
        status = HTTPStatus(answer["statusCode"])
        start(f"{status.value} {status.phrase}", list(answer["headers"].items()))
        body = answer["body"]
        return [base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()]
