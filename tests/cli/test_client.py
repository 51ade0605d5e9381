"""The HTTP client: what it sends again, what it never does."""

import httpx
import pytest

from cli.errors import NetworkError, Refusal, RefusedError
from tests.cli.tool import KEY, URL, Tool, refusal


def busy(status: int = 429, **headers: str) -> httpx.Response:
    return refusal(status, "rate_limited", **headers)


def test_what_is_turned_away_for_now_is_sent_again_after_the_time_it_names(tool: Tool) -> None:
    tool.platform.answers = [busy(**{"retry-after": "7"}), busy(503), {"id": 1}]
    assert tool.connect(URL, KEY).call("POST", "/x", body={}).body == {"id": 1}
    assert tool.waited == [7.0, 1.0]
    keys = {asked.headers["idempotency-key"] for asked in tool.platform.asked}
    assert len(keys) == 1  # or the API would do it twice


def test_a_lost_answer_of_a_write_is_asked_for_again_with_the_same_key(tool: Tool) -> None:
    running = refusal(409, "still_running", **{"retry-after": "1"})
    tool.platform.answers = [httpx.ReadTimeout("slow"), running, {"id": 1}]
    assert tool.connect(URL, KEY).call("POST", "/x", body={}).body == {"id": 1}
    assert {asked.headers["idempotency-key"] for asked in tool.platform.asked} == {"id-0"}


@pytest.mark.parametrize("after", ["1000000", "soon", "-1", "9" * 30])
def test_no_wait_is_longer_than_a_minute(tool: Tool, after: str) -> None:
    tool.platform.answers = [busy(**{"retry-after": after}), {"id": 1}]
    tool.connect(URL, KEY).call("GET", "/x")
    assert tool.waited[0] <= 60.0


def test_patience_ends_with_the_refusal_or_with_silence(tool: Tool) -> None:
    tool.platform.answers = [busy() for _ in range(9)]
    with pytest.raises(RefusedError) as caught:
        tool.connect(URL, KEY).call("GET", "/x")
    assert caught.value.refusal.code == "rate_limited"
    assert len(tool.platform.asked) == 5
    tool.platform.answers = [httpx.ConnectError("no route") for _ in range(9)]
    with pytest.raises(NetworkError, match="no answer from api"):
        tool.connect(URL, KEY).call("POST", "/x", body={})


def test_a_conflict_that_is_final_is_not_sent_again(tool: Tool) -> None:
    tool.platform.answers = [refusal(409, "already_exists")]
    with pytest.raises(RefusedError):
        tool.connect(URL, KEY).call("POST", "/x", body={})
    assert len(tool.platform.asked) == 1


def test_the_key_does_not_follow_a_redirect(tool: Tool) -> None:
    away = httpx.Response(302, headers={"location": "https://evil.example/"})
    tool.platform.answers = [away]
    with pytest.raises(NetworkError, match="leads elsewhere"):
        tool.connect(URL, KEY).call("GET", "/x")
    assert [asked.url.host for asked in tool.platform.asked] == ["api.example"]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>", headers={"content-type": "application/json"}),
        httpx.Response(200, json={"items": []}),
        httpx.Response(200, json="x"),
    ],
)
def test_an_answer_without_sense_is_a_network_trouble(tool: Tool, answer) -> None:
    tool.platform.answers = [answer]
    with pytest.raises(NetworkError):
        list(tool.connect(URL, KEY).items("/x"))


def test_a_walk_through_pages_ends(tool: Tool) -> None:
    tool.platform.answers = [{"data": [1], "next_cursor": "a"}, {"data": [2], "next_cursor": None}]
    assert list(tool.connect(URL, KEY).items("/x", query={"limit": 1, "q": None})) == [1, 2]
    assert [asked.url.query for asked in tool.platform.asked] == [b"limit=1", b"limit=1&cursor=a"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (None, "HTTP502"), ("x", "HTTP502"), ({}, "HTTP502"), ({"error": "x"}, "HTTP502"),
        ({"error": {"code": "c", "fields": "x"}}, "c"),
        ({"error": {"code": "c", "fields": [1]}}, "c"),
    ],
)  # fmt: skip
def test_any_body_at_all_makes_a_refusal(body, code: str) -> None:
    assert Refusal.read(502, body).code == code
