"""Statistics, usage and brakes over the management API."""

import json
from typing import Any

import pytest
from mail_api.v2.models.statistics import Counts

from mailroom.domain.brake import Brake, BrakeState, Cause
from mailroom.domain.message import ServerId
from mailroom.domain.statistic import DAY, HOUR, NAMES, Dimension, Slot, Tally
from tests.support.management import Management


class World:
    def __init__(self) -> None:
        self.platform = Management()
        ports = self.platform.statistics.brakes
        self.statistics, self.brakes = ports.statistics, ports.brakes
        self.organisation = self.platform.organisation()
        self.server = self.platform.server(self.organisation)
        self.now = self.platform.clock.now()

    def count(self, at: float, slot: Slot | None = None, **counts: int) -> None:
        tally = Tally(slot or Slot(ServerId(self.server)), int(at // HOUR), counts)
        self.statistics.add([tally], f"{tally}")

    def get(self, path: str, query: str = "", **more: Any) -> Any:
        return self.platform.ask("GET", f"/servers/{self.server}{path}", query=query, **more)

    def post(self, path: str, body: Any, **more: Any) -> Any:
        return self.platform.ask("POST", f"/servers/{self.server}{path}", body, **more)


@pytest.fixture
def world() -> World:
    return World()


def test_statistics_of_a_server_by_day(world: World) -> None:
    world.count(world.now, sent=4, bounced=1, bounced_hard=1, opened_human_unique=2)
    world.count(world.now - DAY, sent=2)
    told = world.get("/statistics")
    assert (told.status, told.json["by"], len(told.json["points"])) == (200, "day", 30)
    last = told.json["points"][-1]
    assert last["start"] == world.now // DAY * DAY
    assert (last["counts"]["delivered"], last["counts"]["bounced_hard"]) == (4, 1)
    assert last["counts"]["clicked"] == 0
    assert told.json["total"]["delivered"] == 6


def test_every_counter_is_shown() -> None:
    assert set(Counts.model_fields) == set(NAMES) - {"sent"} | {"delivered"}


def test_statistics_of_a_tag_by_hour_and_of_a_month(world: World) -> None:
    slot = Slot(ServerId(world.server), Dimension.TAG, "a b&c")
    world.count(world.now, slot, sent=3)
    span = f"by=hour&tag=a%20b%26c&from_time={world.now - HOUR}&to_time={world.now}"
    told = world.get("/statistics", span)
    assert [point["counts"]["delivered"] for point in told.json["points"]] == [0, 3]
    months = world.get("/statistics", "by=month&tag=a%20b%26c")
    assert (len(months.json["points"]), months.json["total"]["delivered"]) == (12, 3)
    assert world.get("/statistics", "tag=other").json["total"]["delivered"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("by=week", "validation_failed"),
        ("tag=a&domain=b.test", "validation_failed"),
        ("from_time=x", "validation_failed"),
        ("tag=" + "t" * 201, "validation_failed"),
        ("by=hour&from_time=0", "range_not_possible"),
        ("from_time=2000000000", "range_not_possible"),
        ("to_time=99999999999", "range_not_possible"),
        ("colour=red", "validation_failed"),
    ],
)
def test_what_cannot_be_asked_is_refused(world: World, query: str, code: str) -> None:
    told = world.get("/statistics", f"{query}&from_time=1" if "to_time" in query else query)
    assert (told.status, told.json["error"]["code"]) == (422, code)


def test_an_organisation_is_the_sum_of_its_servers(world: World) -> None:
    other = world.platform.server(world.organisation, "Other")
    world.count(world.now, sent=1)
    world.count(world.now, Slot(ServerId(other)), sent=2)
    told = world.platform.ask("GET", f"/organisations/{world.organisation}/statistics")
    assert (told.status, told.json["total"]["delivered"]) == (200, 3)
    own = world.platform.server_key(other)
    told = world.platform.ask("GET", f"/organisations/{world.organisation}/statistics", key=own)
    assert told.status == 403  # a server's key reads that server


def test_values_that_have_statistics(world: World) -> None:
    server = ServerId(world.server)
    world.statistics.admit(server, Dimension.DOMAIN, int(world.now // DAY), "b.test")
    assert world.get("/statistics/values", "dimension=domain").json["values"] == ["b.test"]
    assert "gmail" in world.get("/statistics/values", "dimension=provider").json["values"]


def test_usage(world: World) -> None:
    limits = {"limits": {"hour": 100, "action": "reject"}}
    assert world.platform.ask("PATCH", f"/servers/{world.server}", limits).status == 200
    world.count(world.now, accepted=5, sent=2, held=1)
    told = world.get("/usage")
    assert told.status == 200
    assert told.json["limits"] == [{"period": "hour", "limit": 100, "used": 0, "resets_at": None}]
    assert (told.json["action"], told.json["queued"], told.json["held"]) == ("reject", 2, 1)
    assert told.json["accepted"] == {"hour": 5, "day": 5, "month": 5}


def test_a_brake_is_shown_appealed_against_and_lifted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Brake(BrakeState.HELD, world.now, "too much", Cause.BOUNCES, 0.06, 0.05, 100)
    assert world.brakes.swap(ServerId(world.server), held, 0)
    key = world.platform.organisation_key(world.organisation)
    shown = world.get("/brakes", key=key).json
    assert (shown["state"], shown["reason"], shown["bounce_limit"]) == ("held", "too much", 0.05)
    appealed = world.post("/brakes/appeal", {"text": "we cleaned the list"}, key=key)
    assert (appealed.status, appealed.json["appeal"]) == (200, "we cleaned the list")
    lift = {"days": 3, "factor": 2, "reason": "fine"}
    assert world.post("/brakes/lift", lift, key=key).status == 403
    lifted = world.post("/brakes/lift", lift)
    assert (lifted.status, lifted.json["state"]) == (200, "ok")
    assert lifted.json["lifted_until"] == world.now + 3 * DAY
    assert [each["event"] for each in lifted.json["history"]] == ["ServerBrakeLifted"]
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    alarms = [line["alarm"] for line in lines if line.get("function") == "alarm"]
    assert alarms == ["brake_appeal", "brake_ok"]


def test_an_appeal_without_a_brake_is_refused(world: World) -> None:
    told = world.post("/brakes/appeal", {"text": "why"})
    assert (told.status, told.json["error"]["code"]) == (422, "brake_conflict")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "r", "days": 0},
        {"reason": "r", "days": 91},
        {"reason": "r", "factor": 0.5},
        {"reason": ""},
        {"reason": "r", "more": 1},
    ],
)
def test_a_lift_has_bounds(world: World, body: Any) -> None:
    assert world.post("/brakes/lift", body).status == 422
