"""What the host answers is what Lambda's path answers: the same request both ways."""

import base64
import json
from typing import Any

import pytest

from tests.hostapi.stand import Client, Stand
from tests.support.api_calls import KEY, OTHER_KEY, SUSPENDED_KEY, MemoryApi, http_event

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MINE = {"X-Server-API-Key": KEY}
MESSAGE = {
    "to": ["ann@example.org"],
    "from": "Shop <shop@demo.test>",
    "subject": "žluť",
    "plain_body": "hello",
    "attachments": [{"name": "a.bin", "data": base64.b64encode(bytes(5000)).decode()}],
}
RAW = {
    "rcpt_to": ["ann@example.org"],
    "mail_from": "shop@demo.test",
    "data": base64.b64encode(b"From: shop@demo.test\r\n\r\nhi\r\n").decode(),
}
SEND = "/api/v1/send/message"
REQUESTS: list[tuple[str, str, bytes | None, dict[str, str]]] = [
    ("GET", "/health", None, {}),
    ("HEAD", "/health", None, {}),
    ("OPTIONS", "/health", None, {}),
    ("DELETE", "/health", None, {}),
    ("PROPFIND", "/health", None, {}),
    ("GET", "/", None, {}),
    ("GET", "/nothing/here?a=b", None, {}),
    ("GET", "/.well-known/jwks.json", None, {}),
    ("GET", "/api/v1/openapi.json", None, {}),
    ("GET", "/%2e%2e/health", None, {}),
    ("GET", "//health//", None, {}),
    ("GET", "/api/v2/messages/%31%32", None, MINE),
    ("GET", "/api/v2/messages/1", None, {}),
    ("GET", "/api/v2/messages/1?x=" + "y" * 3000, None, MINE),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON | MINE),
    ("PUT", SEND, json.dumps(MESSAGE, ensure_ascii=False).encode(), JSON | MINE),
    ("POST", SEND, b"\xef\xbb\xbf" + json.dumps(MESSAGE).encode(), JSON | MINE),
    ("POST", SEND, json.dumps(MESSAGE | {"tag": "x" * 300_000}).encode(), JSON | MINE),
    ("POST", SEND, json.dumps(MESSAGE | {"from": "x@unverified.test"}).encode(), JSON | MINE),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON | {"X-Server-API-Key": "no"}),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON | {"X-Server-API-Key": SUSPENDED_KEY}),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON | {"X-Server-API-Key": OTHER_KEY}),
    ("POST", SEND, json.dumps(MESSAGE).encode(), MINE),
    ("POST", SEND, json.dumps(MESSAGE).encode(), JSON | MINE | {"Content-Encoding": "gzip"}),
    ("POST", SEND, b"", JSON | MINE),
    ("POST", SEND, None, MINE),
    ("POST", SEND, b"{", JSON | MINE),
    ("POST", SEND, b"\xff\xfe", JSON | MINE),
    ("POST", SEND, b"[" * 100_000, JSON | MINE),
    ("POST", SEND, b"params=" + b"%7B%7D", FORM | MINE),
    ("POST", f"{SEND}?params=%7B%22to%22%3A%22a%40b.test%22%7D", None, MINE),
    ("POST", f"{SEND}?" + "a&" * 1500, None, MINE),
    ("POST", "/api/v1/send/raw", json.dumps(RAW).encode(), JSON | MINE),
    ("POST", "/api/v1/send/raw", json.dumps(RAW | {"data": "é"}).encode(), JSON | MINE),
    ("POST", "/api/v1/messages/message", b'{"id": 5}', JSON | MINE),
    ("POST", "/api/v1/messages/deliveries", b'{"id": "\\ud800"}', JSON | MINE),
    ("POST", "/api/v2/messages/1/release", b"", MINE),
]


def by_lambda(method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Any:
    memory = MemoryApi(limit=Stand().message)
    memory.clock.at += 1.0
    path, _, query = target.partition("?")
    given = body if body is None else as_the_gateway_gives(body)
    headers = {"Host": "api-large.mail.test"} | headers
    event = http_event(method, path, given, headers=headers, query=query)
    answer = memory.handler(event, None)
    text = "" if method == "HEAD" else answer["body"]
    return answer["statusCode"], answer["headers"], known(text), memory.bodies.stored.keys()


def as_the_gateway_gives(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def known(text: str) -> Any:
    """The answer without what depends on the moment."""
    if not text:
        return text
    found = json.loads(text)
    if isinstance(found, dict) and "time" in found:
        assert isinstance(found.pop("time"), float)
    return found


@pytest.mark.parametrize(
    ("method", "target", "body", "headers"),
    REQUESTS,
    ids=[f"{n} {method} {target[:40]}" for n, (method, target, *_) in enumerate(REQUESTS)],
)
async def test_the_host_answers_as_lambda_does(
    method: str, target: str, body: bytes | None, headers: dict[str, str]
) -> None:
    status, fields, content, stored = by_lambda(method, target, body, headers)
    async with Stand().serving() as stand:
        client: Client = await stand.client()
        answer = await client.ask(method, target, body, **headers)
        assert (answer.status, known(answer.body.decode())) == (status, content)
        assert {name: answer.headers[name] for name in fields} == fields
        assert stand.memory.bodies.stored.keys() == stored
        # The connection lives: the next request is answered on it.
        assert (await client.ask("GET", "/health")).json == {"status": "ok"}


async def test_the_app_sees_who_asks_and_under_which_name() -> None:
    seen: list[dict[str, Any]] = []

    def watching(_: MemoryApi) -> Any:
        def handler(event: dict[str, Any], __: Any) -> dict[str, Any]:
            seen.append(event)
            return {
                "statusCode": 207,
                "headers": {"content-type": "image/gif", "x-a": "b"},
                "cookies": ["a=1", "b=2"],
                "body": base64.b64encode(b"\xff\x00" * 50_000).decode(),
                "isBase64Encoded": True,
            }

        return handler

    async with Stand(handler_of=watching).serving() as stand:
        client = await stand.client()
        answer = await client.ask("GET", "/a%20b?c=d&c=e", X_One="1", Cookie="k=v", User_Agent="me")
        assert (answer.status, answer.body) == (207, b"\xff\x00" * 50_000)
        assert answer.headers["set-cookie"] == "a=1\nb=2"
        assert (answer.headers["x-a"], answer.headers["server"]) == ("b", "mailroom")
    (event,) = seen
    assert (event["rawPath"], event["rawQueryString"]) == ("/a%20b", "c=d&c=e")
    assert event["headers"] == {
        "host": "api-large.mail.test", "x-one": "1", "cookie": "k=v", "user-agent": "me",
    }  # fmt: skip
    assert event["body"] is None
    assert event["requestContext"] == {
        "requestId": "request-1",
        "domainName": "api-large.mail.test",
        "http": {"method": "GET", "path": "/a%20b", "sourceIp": "127.0.0.1", "userAgent": "me"},
    }
