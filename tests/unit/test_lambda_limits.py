"""What a Lambda function takes and gives: 6 MB each way, counted as AWS counts, by our own code."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from chalice.app import Chalice, Response
from mail_api.routes import create_app

from mailroom.adapters.chalice_http import Handler, http_api
from mailroom.adapters.lambda_limits import ENVELOPE, MAX_EVENT, Passage, json_octets
from mailroom.settings import SettingsError, load_settings
from tests.support.api_calls import KEY, MemoryApi, http_event

LARGE = "https://api-large.mail.test"
ROOM = MAX_EVENT - ENVELOPE  # octets of a body as a JSON string, quotes included


def echoing(passage: Passage | None) -> Handler:
    """An app that says how long the body was, and gives as long an answer as it is asked for."""
    app = Chalice(app_name="test", configure_logs=False, env={})

    @app.route("/", methods=["POST"], content_types=[])
    def octets() -> dict[str, Any]:
        return {"octets": len(app.current_request.raw_body)}

    @app.route("/answer/{octets}", methods=["GET"])
    def answer(octets: str) -> Response:
        return Response("a" * int(octets), headers={"Content-Type": "text/plain"})

    @app.route("/pixels/{octets}", methods=["GET"])
    def pixels(octets: str) -> Response:
        return Response(b"a" * int(octets), headers={"Content-Type": "image/gif"})

    return http_api(app, passage=passage)


def status(handler: Handler, method: str, path: str, body: Any = None) -> int:
    found: int = handler(http_event(method, path, body), None)["statusCode"]
    return found


@pytest.mark.parametrize(
    "body",
    [
        lambda octets: "a" * (octets - 2),
        lambda octets: '"' * ((octets - 2) // 2),
        lambda octets: "\n" * ((octets - 2) // 2),
        lambda octets: "é" * ((octets - 2) // 2),
        lambda octets: base64.b64decode("A" * ((octets - 2) // 4 * 4)),
    ],
    ids=["letters", "quotes", "line ends", "two octets each", "octets in base64"],
)
def test_a_request_passes_up_to_the_last_octet(body: Callable[[int], Any]) -> None:
    handler = echoing(Passage())
    assert status(handler, "POST", "/", body(ROOM)) == 200
    assert status(handler, "POST", "/", body(ROOM + 4)) == 413
    assert status(echoing(None), "POST", "/", body(ROOM + 4)) == 200


@pytest.mark.parametrize(
    ("path", "most"), [("/answer/{}", ROOM - 2), ("/pixels/{}", (ROOM - 2) // 4 * 3)]
)
def test_an_answer_passes_up_to_the_last_octet(path: str, most: int) -> None:
    handler = echoing(Passage(lambda: LARGE))
    assert status(handler, "GET", path.format(most)) == 200
    refused = handler(http_event("GET", path.format(most + 1)), None)
    assert refused["statusCode"] == 413
    said = json.loads(refused["body"])
    assert said["Code"] == "ResponseTooLargeError"
    assert LARGE in said["Message"]


@pytest.mark.parametrize("text", ["", "a", '"\\\n\x00', "é", "\U0001f600", "\ud800"])
def test_octets_are_counted_as_they_stand_in_the_event(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
    assert json_octets(text) == len(written)


def test_the_refusal_says_where_to_go() -> None:
    event = http_event("POST", "/", "a" * MAX_EVENT)
    said = json.loads(echoing(Passage(lambda: LARGE))(event, None)["body"])
    assert said["Code"] == "RequestEntityTooLargeError"
    assert LARGE in said["Message"]
    assert "6 MB" in said["Message"]
    assert "SMTP" in json.loads(echoing(Passage())(event, None)["body"])["Message"]


def test_the_large_url_is_not_asked_for_by_what_passes() -> None:
    def ask() -> str:
        raise AssertionError

    assert status(echoing(Passage(ask)), "POST", "/", "a" * 100_000) == 200


def test_the_envelope_names_the_place_too() -> None:
    api = replace(MemoryApi(limit=25 * 1024 * 1024).api, large_url=LARGE)
    handler = http_api(create_app(lambda: api))
    headers = {"X-Server-API-Key": KEY, "Content-Type": "application/json"}
    event = http_event("POST", "/api/v1/send/raw", "a" * (MAX_EVENT + 1), headers=headers)
    said = json.loads(handler(event, None)["body"])
    assert said["status"] == "parameter-error"
    assert LARGE in said["data"]["message"]


def test_the_base_url_is_read_without_its_last_slash() -> None:
    assert load_settings({"MAILROOM_LARGE_API_URL": f"{LARGE}/"}).large_api_url == LARGE
    assert load_settings({}).large_api_url == ""


@pytest.mark.parametrize("text", ["api-large.mail.test", "ftp://x", "https://a\nb", "https://é"])
def test_what_is_no_web_address_is_no_base_url(text: str) -> None:
    with pytest.raises(SettingsError, match="MAILROOM_LARGE_API_URL"):
        load_settings({"MAILROOM_LARGE_API_URL": text})
