"""The history of webhooks over the API, and calling again what was in it."""

import json
from dataclasses import replace

import pytest
from chalice.app import Chalice
from hypothesis import given, settings
from hypothesis import strategies as st
from mail_api import webhook_routes

from mailroom.adapters.chalice_http import http_api
from mailroom.domain.message import Webhook
from mailroom.fakes.notifying import MemoryNotifications
from mailroom.ports import Answer, Notification
from mailroom.usecases import replay
from tests.support.api_calls import (
    KEY,
    OTHER,
    OTHER_KEY,
    SERVER,
    SUSPENDED_KEY,
    MemoryApi,
    http_event,
)

NOW = 1_760_000_000.0
URL = "https://hook.example/in?token=abcdef"
CALL = Notification(
    uuid="00000000-0000-5000-8000-000000000001",
    server=SERVER.id,
    webhook="w1",
    url=URL,
    event="MessageSent",
    body='{"event": "MessageSent"}',
    attempt=1,
    first_at=NOW,
)


class Stand:
    """The routes over memory; `get` and `post` return status and JSON."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.calls = MemoryNotifications()
        for server in (SERVER, OTHER):
            self.api.directory.add_webhook(Webhook("w1", server.id, URL))
        self.api.directory.add_webhook(Webhook("w2", OTHER.id, URL))
        app = Chalice(app_name="webhooks", configure_logs=False, env={})
        webhook_routes.add_routes(app, lambda: self.api.api, lambda: self.calls)
        self._handler = http_api(app)

    def tried(self, number=1, *, at=NOW, status=200, **more):
        """Put a try into the history."""
        uuid = f"00000000-0000-5000-8000-{number:012d}"
        made = replace(CALL, uuid=uuid, **more)
        self.calls.remember(made, at=at, answer=Answer(status, "said"))
        return uuid

    def get(self, path="w1/deliveries", query="", key=KEY):
        return self._ask("GET", path, None, query, key)

    def post(self, body, path="w1/replay", key=KEY):
        text = body if isinstance(body, str | bytes) else json.dumps(body)
        return self._ask("POST", path, text, "", key)

    def queued(self):
        return [made for made, _ in self.calls.queued]

    def _ask(self, method, path, body, query, key):
        headers = {"content-type": "application/json"} | ({"x-server-api-key": key} if key else {})
        event = http_event(method, f"/api/v2/webhooks/{path}", body, headers=headers, query=query)
        answer = self._handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def stand():
    return Stand()


def test_a_try_is_shown_with_what_was_sent_and_said(stand):
    uuid = stand.tried(status=500)
    status, page = stand.get()
    assert status == 200
    assert page == {
        "deliveries": [
            {
                "uuid": uuid,
                "event": "MessageSent",
                "url": "https://hook.example/in?token=[redacted]",
                "attempt": 1,
                "at": NOW,
                "replay": False,
                "will_retry": False,
                "request": {"body": CALL.body, "truncated": False},
                "response": {"status": 500, "body": "said", "problem": None, "seconds": 0.0},
            }
        ],
        "next_cursor": None,
    }


def test_pages_go_back_in_time(stand):
    uuids = [stand.tried(n, at=NOW + n) for n in range(5)]
    found, query = [], "limit=2"
    while query:
        _, page = stand.get(query=query)
        found += [each["uuid"] for each in page["deliveries"]]
        query = f"limit=2&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert found == uuids[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "cursor=!"])
def test_a_bad_page_is_a_clear_422(stand, query):
    status, answer = stand.get(query=query)
    assert (status, answer["error"]["code"]) == (422, "InvalidRequest")


@pytest.mark.parametrize(
    ("key", "status"), [(None, 401), ("wrong", 401), ("\u00e9", 401), (SUSPENDED_KEY, 403)]
)
def test_nobody_else_is_let_in(stand, key, status):
    assert stand.get(key=key)[0] == status
    assert stand.post({"uuid": "1"}, key=key)[0] == status


def test_a_servers_key_sees_its_own_webhooks_only(stand):
    uuid = stand.tried(server=OTHER.id)
    stand.tried(2, server=OTHER.id, webhook="w2")
    assert stand.get() == (200, {"deliveries": [], "next_cursor": None})
    assert stand.post({"uuid": uuid})[0] == 404
    assert stand.post({"from": 0, "to": NOW})[1]["replayed"] == 0
    for path in ("w2/deliveries", "nobody/deliveries", "w1.x/deliveries", "w1%23x/deliveries"):
        assert stand.get(path)[1]["error"]["code"] == "WebhookNotFound"
    assert stand.post({"uuid": uuid}, "w2/replay")[0] == 404
    assert stand.queued() == []
    assert len(stand.get(key=OTHER_KEY)[1]["deliveries"]) == 1


def test_the_history_of_a_removed_webhook_can_still_be_read_but_not_replayed(stand):
    uuid = stand.tried(webhook="old")
    assert len(stand.get("old/deliveries")[1]["deliveries"]) == 1
    assert stand.post({"uuid": uuid}, "old/replay")[0] == 404


def test_a_replay_keeps_uuid_and_body_and_goes_to_the_present_url(stand):
    uuid = stand.tried(status=500, attempt=9, url="https://old.example/", body='{"a":  1}')
    assert stand.post({"uuid": uuid.upper()}) == (202, {"replayed": 1, "next_from": None})
    ((made, delay),) = stand.calls.queued
    assert (made.uuid, made.body, made.url, made.replay) == (uuid, '{"a":  1}', URL, True)
    assert (made.attempt, made.first_at, delay) == (0, stand.api.clock.at, 0)


def test_a_range_is_replayed_once_a_call(stand):
    stand.tried(1, at=NOW)
    inside = [stand.tried(2, at=NOW + 10, status=500), stand.tried(3, at=NOW + 20)]
    stand.tried(2, at=NOW + 15, status=500, attempt=2)
    stand.tried(4, at=NOW + 30)
    assert stand.post({"from": NOW + 10, "to": NOW + 20})[1]["replayed"] == 2
    assert [made.uuid for made in stand.queued()] == inside


def test_only_failed_leaves_out_what_was_delivered_by_now(stand):
    failed = stand.tried(1, at=NOW, status=500)
    stand.tried(2, at=NOW + 1, status=500)
    stand.tried(2, at=NOW + 500, status=200, attempt=2)
    stand.tried(3, at=NOW + 2, status=204)
    wanted = {"from": NOW, "to": NOW + 10, "only_failed": True}
    assert stand.post(wanted) == (202, {"replayed": 1, "next_from": None})
    assert [made.uuid for made in stand.queued()] == [failed]


def test_a_large_range_goes_on_where_it_stopped(stand):
    for n in range(replay.MAX_REPLAYED + 7):
        stand.tried(n, at=NOW + n)
    wanted = {"from": NOW, "to": NOW + 10_000}
    _, first = stand.post(wanted)
    assert first == {"replayed": replay.MAX_REPLAYED, "next_from": NOW + replay.MAX_REPLAYED}
    _, second = stand.post({**wanted, "from": first["next_from"]})
    assert second == {"replayed": 7, "next_from": None}
    uuids = [made.uuid for made in stand.queued()]
    assert len(uuids) == len(set(uuids)) == replay.MAX_REPLAYED + 7


def test_many_calls_of_one_moment_do_not_stop_the_reader(stand):
    for n in range(replay.MAX_REPLAYED + 1):
        stand.tried(n, at=NOW)
    assert stand.post({"from": NOW, "to": NOW})[1]["next_from"] > NOW


@pytest.mark.parametrize(
    "body",
    [
        "", "x", "[]", "null", "1", "{}", '{"uuid": 1}', '{"uuid": null}', '{"uuid": ""}',
        '{"uuid": "../x"}', '{"uuid": "1", "from": 1}', '{"from": 1}', '{"to": 1}',
        '{"from": 2, "to": 1}', '{"from": "1", "to": 2}', '{"from": true, "to": 2}',
        '{"from": NaN, "to": NaN}', '{"from": 0, "to": 1e400}', '{"from": -1, "to": 2}',
        '{"from": 0, "to": 1, "only_failed": 1}', '{"from": 0, "to": 1, "x": 1}', "[" * 2000,
        b"\xff\xfe\x00", '{"uuid": "' + "1" * 65 + '"}',
    ],
)  # fmt: skip
def test_a_bad_replay_is_a_clear_422_and_calls_nobody(stand, body):
    stand.tried()
    status, answer = stand.post(body)
    assert (status, answer["error"]["code"]) == (422, "InvalidRequest")
    assert stand.queued() == []


def test_a_long_body_is_413(stand):
    assert stand.post('{"uuid": "' + "1" * 5_000 + '"}')[0] == 413


def test_a_queue_out_of_reach_is_503(stand):
    uuid = stand.tried()
    stand.calls.broken = True
    assert stand.post({"uuid": uuid})[0] == 503
    assert stand.post({"from": 0, "to": NOW})[0] == 503


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["uuid", "from", "to", "only_failed", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_gets_an_answer(body):
    assert Stand().post(json.dumps(body))[0] in {202, 404, 413, 422}
