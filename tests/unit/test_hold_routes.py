"""`POST /api/v2/messages/{id}/release` and `/cancel` as a client sees them."""

from dataclasses import replace
from typing import Any

import pytest

from mailroom.domain.event import EventType
from mailroom.domain.hold import Hold, put_on_hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Credential
from mailroom.usecases.accept import LIFETIME_SECONDS
from tests.support.api_calls import KEY, OTHER_KEY, SERVER, SUSPENDED_KEY, MemoryApi, http_event

HOLDING_KEY = "h" * 24
ACTIONS = ["release", "cancel"]


class Held:
    """A message that was sent through the API and then held."""

    def __init__(self) -> None:
        self.api = MemoryApi()
        self.api.directory.add_credential(
            Credential("c3", SERVER.id, "api", "tests", hold=True), HOLDING_KEY
        )
        self.api.call(
            "send/message",
            {"to": ["ann@x.test"], "from": "me@demo.test", "subject": "s", "plain_body": "x"},
        )
        [row] = self.api.ledger.rows.values()
        now = self.api.clock.at
        settlement = put_on_hold(row, Hold.DEVELOPMENT, now=now, seconds=60.0)
        self.row = settlement.after
        self.api.ledger.put(self.row)
        self.api.ledger.record(settlement.event)
        self.api.lane.sent.clear()

    def ask(self, action: str, id_: object = None, key: str | None = KEY) -> tuple[int, Any]:
        id_ = self.row.key.postal_id if id_ is None else id_
        headers = {"x-server-api-key": key} if key else {}
        path = f"/api/v2/messages/{id_}/{action}"
        return self.api.ask(http_event("POST", path, headers=headers))

    @property
    def now(self) -> object:
        return self.api.ledger.rows[self.row.key]


@pytest.fixture
def held() -> Held:
    return Held()


def test_a_held_message_is_released(held: Held) -> None:
    status, told = held.ask("release")
    assert (status, told["id"], told["state"]) == (200, held.row.key.postal_id, "queued")
    assert told["expires_at"] == held.api.clock.at + LIFETIME_SECONDS
    assert len(held.api.lane.sent) == 1
    event = held.api.ledger.outbox[held.row.key]
    assert event.type is EventType.RELEASED
    assert event.attempt is not None
    assert event.attempt.details == "Released by API key 'main'"


def test_a_held_message_is_cancelled(held: Held) -> None:
    status, told = held.ask("cancel")
    assert (status, told["state"]) == (200, "cancelled")
    assert not held.api.lane.sent


def test_its_history_reads_in_both_apis(held: Held) -> None:
    held.ask("release")
    held.api.ledger.record(held.api.ledger.outbox[held.row.key])
    id_ = held.row.key.postal_id
    event = http_event("GET", f"/api/v2/messages/{id_}", headers={"x-server-api-key": KEY})
    status, record = held.api.ask(event)
    assert status == 200
    assert [each["type"] for each in record["events"]] == ["accepted", "held", "released"]
    entries = held.api.call("messages/deliveries", {"id": id_})["data"]
    assert [entry["status"] for entry in entries] == ["Held"]


@pytest.mark.parametrize("action", ACTIONS)
def test_a_hold_ends_once(held: Held, action: str) -> None:
    assert held.ask(action)[0] == 200
    after = held.now
    status, told = held.ask(action)
    if action == "release":
        assert (status, told["error"]["code"]) == (409, "MessageNotHeld")
    else:
        assert (status, told["error"]["code"]) == (409, "MessageStateConflict")
    assert held.now == after


@pytest.mark.parametrize(
    ("action", "state", "code"),
    [
        ("release", State.QUEUED, "MessageNotHeld"),
        ("release", State.SENT, "MessageNotHeld"),
        ("release", State.ATTEMPTING, "MessageNotHeld"),
        ("cancel", State.SENT, "MessageStateConflict"),
        ("cancel", State.ATTEMPTING, "MessageStateConflict"),
    ],
)
def test_what_waits_for_nobody_is_a_conflict(
    held: Held, action: str, state: State, code: str
) -> None:
    held.api.ledger.put(replace(held.row, state=state))
    status, told = held.ask(action)
    assert (status, told["error"]["code"]) == (409, code)
    assert str(state) in told["error"]["message"]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "AccessDenied"),
        ("wrong", 401, "InvalidServerAPIKey"),
        (SUSPENDED_KEY, 403, "ServerSuspended"),
        (OTHER_KEY, 404, "MessageNotFound"),
        (HOLDING_KEY, 403, "AccessDenied"),  # or it could let go what it is there to hold
    ],
)
def test_who_may_not(held: Held, action: str, key: str | None, status: int, code: str) -> None:
    answered, told = held.ask(action, key=key)
    assert (answered, told["error"]["code"]) == (status, code)
    assert held.now == held.row
    assert not held.api.lane.sent


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("id_", ["0", "x", "1" * 30, "-1", "9007199254740993", "12%2F3"])
def test_an_id_that_names_nothing(held: Held, action: str, id_: str) -> None:
    status, told = held.ask(action, id_)
    assert status == 404
    assert "error" in told or "Code" in told
    assert held.now == held.row


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xff", "not json"])
def test_a_body_is_not_read(held: Held, body: bytes | str) -> None:
    path = f"/api/v2/messages/{held.row.key.postal_id}/release"
    event = http_event("POST", path, body, headers={"x-server-api-key": KEY})
    assert held.api.ask(event)[0] == 200
