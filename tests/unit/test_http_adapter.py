"""The HTTP API adapter: both translations, the routes, the refusals and the one log line."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from chalice.app import Chalice, Response

from mailroom.adapters.chalice_http import (
    BodyTooLargeError,
    Handler,
    body_octets,
    http_api,
    read_body,
)
from tests.support.api_calls import http_event


@pytest.fixture
def app() -> Chalice:
    app = Chalice(app_name="test", configure_logs=False, env={})
    add_plain_routes(app)
    add_odd_routes(app)
    return app


def add_plain_routes(app: Chalice) -> None:
    @app.route("/things/{thing}")
    def thing(thing: str) -> dict[str, Any]:
        return {"thing": thing}

    @app.route("/things/special")
    def special() -> dict[str, Any]:
        return {"special": True}

    @app.route("/{anything}/special/{more}")
    def deep(anything: str, more: str) -> dict[str, Any]:
        return {"anything": anything, "more": more}

    @app.route("/", methods=["GET"])
    def root() -> dict[str, Any]:
        return {"root": True}


def add_odd_routes(app: Chalice) -> None:
    @app.route("/echo", methods=["POST", "GET"], content_types=[])
    def echo() -> dict[str, Any]:
        request = app.current_request
        return {
            "headers": dict(request.headers),
            "query": {n: request.query_params.getlist(n) for n in request.query_params or {}},
            "body": list(request.raw_body),
            "ip": request.context["identity"]["sourceIp"],
        }

    @app.route("/limited", methods=["POST"], content_types=[])
    def limited() -> Response:
        try:
            return Response({"length": len(read_body(app.current_request, 10))})
        except BodyTooLargeError as error:
            return Response({"limit": error.limit}, status_code=413)

    @app.route("/pixel")
    def pixel() -> Response:
        return Response(b"GIF89a\xff\x00", headers={"Content-Type": "image/gif"})

    @app.route("/headers")
    def headers() -> Response:
        many = {"Set-Cookie": ["a=1", "b=2"], "X-Many": ["1", "2"], "X-One": "1"}
        return Response("text", headers=many | {"Content-Type": "text/plain"}, status_code=202)

    @app.route("/cookie")
    def cookie() -> Response:
        return Response({}, headers={"Set-Cookie": "a=1"})

    @app.route("/broken")
    def broken() -> None:
        raise RuntimeError("a secret place")

    @app.route("/unwritable")
    def unwritable() -> Response:
        return Response({"what": object()})


@pytest.fixture
def handler(app: Chalice) -> Handler:
    return http_api(app, max_body=1000)


def answer(handler: Handler, event: dict[str, Any]) -> tuple[int, Any]:
    given = handler(event, None)
    assert given["headers"]["content-type"] == "application/json"
    return given["statusCode"], json.loads(given["body"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/things/special", {"special": True}),
        ("/things/other", {"thing": "other"}),
        ("/things/other/", {"thing": "other"}),
        ("/things/a%40b%2Bc", {"thing": "a@b+c"}),
        ("/things/special/x", {"anything": "things", "more": "x"}),
        ("/", {"root": True}),
        ("", {"root": True}),
    ],
)
def test_literal_segments_win_over_parameters(handler: Handler, path: str, expected: Any) -> None:
    assert answer(handler, http_event("GET", path)) == (200, expected)


@pytest.mark.parametrize("path", ["/nothing", "/things", "/things/a/b/c", "/things//"])
def test_an_unknown_path_is_a_json_404(handler: Handler, path: str) -> None:
    status, body = answer(handler, http_event("GET", path))
    assert (status, body["Code"]) == (404, "NotFoundError")


def test_a_wrong_method_is_a_json_405_that_names_the_right_ones(handler: Handler) -> None:
    given = handler(http_event("DELETE", "/echo"), None)
    assert given["statusCode"] == 405
    assert json.loads(given["body"])["Code"] == "MethodNotAllowedError"
    assert set(given["headers"]["allow"].split(", ")) == {"GET", "POST"}


def test_repeated_query_fields_cookies_and_headers_arrive(handler: Handler) -> None:
    event = http_event(
        "GET", "/echo", headers={"X-A": "1,2"}, query="a=1&a=2%2C3&b=", cookies=["x=1", "y=2"]
    )
    _, seen = answer(handler, event)
    assert seen["query"] == {"a": ["1", "2,3"], "b": [""]}
    assert seen["headers"] == {"x-a": "1,2", "cookie": "x=1; y=2"}
    assert seen["ip"] == "192.0.2.7"


@pytest.mark.parametrize("body", [b"\x00\xff\r\n", "žluť", b"", None])
def test_bodies_arrive_octet_by_octet(handler: Handler, body: bytes | str | None) -> None:
    _, seen = answer(handler, http_event("POST", "/echo", body))
    expected = body.encode() if isinstance(body, str) else body or b""
    assert bytes(seen["body"]) == expected


def test_a_query_of_thousands_of_fields_is_refused(handler: Handler) -> None:
    assert answer(handler, http_event("GET", "/echo", query="a&a=1&" * 2000))[0] == 400


@pytest.mark.parametrize("body", ["x" * 1001, b"x" * 1001, "é" * 501])
def test_a_body_over_the_limit_never_reaches_the_app(handler: Handler, body: Any) -> None:
    assert answer(handler, http_event("POST", "/echo", body))[0] == 413
    assert answer(handler, http_event("POST", "/echo", body[:500]))[0] == 200


def test_an_app_may_set_a_smaller_limit_and_say_it(handler: Handler) -> None:
    assert answer(handler, http_event("POST", "/limited", b"x" * 10)) == (200, {"length": 10})
    assert answer(handler, http_event("POST", "/limited", b"x" * 11)) == (413, {"limit": 10})


def test_the_limit_is_checked_before_decoding(app: Chalice) -> None:
    event = http_event("POST", "/limited", b"x") | {"body": "!" * 100}
    assert answer(http_api(app), event) == (413, {"limit": 10})  # it is not even base64


class Held:
    """A body that lies elsewhere; it says how often it was fetched."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.octets = len(content)
        self.fetched = 0

    def encode(self, _: str) -> bytes:
        self.fetched += 1
        return self.content


def test_a_body_may_lie_elsewhere(handler: Handler) -> None:
    held = Held(b"\x00\xff")
    assert answer(handler, http_event("POST", "/echo") | {"body": held})[1]["body"] == [0, 255]
    assert answer(handler, http_event("POST", "/limited") | {"body": held}) == (200, {"length": 2})
    assert answer(handler, http_event("POST", "/echo") | {"body": Held(b"")})[1]["body"] == []


@pytest.mark.parametrize(("path", "octets"), [("/limited", 11), ("/echo", 1001)])
def test_a_body_that_is_too_large_is_not_fetched(handler: Handler, path: str, octets: int) -> None:
    held = Held(b"x" * octets)
    assert answer(handler, http_event("POST", path) | {"body": held})[0] == 413
    assert held.fetched == 0


@pytest.mark.parametrize("length", range(20))
def test_the_length_of_a_body_is_known_without_decoding_it(length: int) -> None:
    assert body_octets(http_event("POST", "/", b"x" * length)) == length


def test_octets_go_out_in_base64_whatever_the_client_accepts(handler: Handler) -> None:
    given = handler(http_event("GET", "/pixel", headers={"Accept": "text/html"}), None)
    assert given["statusCode"] == 200
    assert given["isBase64Encoded"]
    assert base64.b64decode(given["body"]) == b"GIF89a\xff\x00"
    assert given["headers"]["content-type"] == "image/gif"


def test_repeated_answer_headers_and_cookies_are_kept(handler: Handler) -> None:
    given = handler(http_event("GET", "/headers"), None)
    assert given["statusCode"] == 202
    assert given["cookies"] == ["a=1", "b=2"]
    assert given["headers"] == {"x-many": "1, 2", "x-one": "1", "content-type": "text/plain"}
    assert (given["body"], given["isBase64Encoded"]) == ("text", False)


def test_a_single_cookie_is_a_cookie_too(handler: Handler) -> None:
    given = handler(http_event("GET", "/cookie"), None)
    assert given["cookies"] == ["a=1"]
    assert "set-cookie" not in given["headers"]


@pytest.mark.parametrize("path", ["/broken", "/unwritable"])
def test_an_exception_is_a_500_whose_trace_is_in_the_log_only(
    handler: Handler, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    given = handler(http_event("GET", path), None)
    assert given["statusCode"] == 500
    assert json.loads(given["body"])["Code"] == "InternalServerError"
    assert "secret" not in given["body"]
    assert "Traceback" not in given["body"]
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "Traceback" in json.loads(err)["trace"]


def test_one_log_line_says_what_happened_and_nothing_private(
    handler: Handler, capfd: pytest.CaptureFixture[str]
) -> None:
    handler(
        http_event("POST", "/echo", b"body-secret", headers={"k": "key-secret"}, query="q=secret"),
        None,
    )
    out, err = capfd.readouterr()
    assert out == ""
    assert "secret" not in err
    assert len(err.splitlines()) == 1
    line = json.loads(err)
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "event": "http",
        "method": "POST",
        "path": "/echo",
        "status": 200,
        "request_id": "request-1",
    }


def test_the_trace_of_one_call_is_not_logged_for_the_next(
    handler: Handler, capfd: pytest.CaptureFixture[str]
) -> None:
    handler(http_event("GET", "/broken"), None)
    handler(http_event("GET", "/"), None)
    first, second = capfd.readouterr().err.splitlines()
    assert "trace" in json.loads(first)
    assert "trace" not in json.loads(second)


def test_a_path_cannot_forge_a_log_line(
    handler: Handler, capfd: pytest.CaptureFixture[str]
) -> None:
    handler(http_event("GET", '/x\n{"event":"http"}' + "x" * 5000), None)
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1
    assert len(err) < 600


def test_importing_the_routes_loads_no_aws_library_and_needs_no_environment() -> None:
    root = Path(__file__).parents[2]
    code = (
        f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'functions' / 'api')!r}]\n"
        "import app, mail_api.routes\n"
        "event = {'rawPath': '/health', 'requestContext': {'http': {'method': 'GET'}}}\n"
        "answer = app.handler(event, None)\n"
        "assert answer['statusCode'] == 200, answer\n"
        "assert not {'botocore', 'boto3', 'pynamodb'} & set(sys.modules), 'AWS was loaded'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
