"""The API against its own description: schemathesis asks, and every answer fits the schema."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema_rs import Draft202012Validator
from mail_api.openapi import EXAMPLES, describe
from mail_api.schema import EXPANSIONS
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.message import DeliveryKey
from tests.support.api_calls import KEY, OTHER_KEY, SERVER, SUSPENDED_KEY, MemoryApi, http_event
from tests.support.api_wsgi import WsgiApi

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
DESCRIPTION = describe()
PATHS = list(DESCRIPTION["paths"])

schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", WsgiApi(MemoryApi()))


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case) -> None:
    response = case.call(headers={"X-Server-API-Key": KEY})
    case.validate_response(response, checks=CHECKS)


def fits(path: str, envelope: dict[str, Any]) -> None:
    answer = DESCRIPTION["paths"][path]["post"]["responses"]["200"]
    Draft202012Validator(answer["content"]["application/json"]["schema"]).validate(envelope)


def test_what_succeeds_is_as_described_too() -> None:
    api = MemoryApi()
    for call in ("send/raw", "send/message"):
        envelope = api.call(call, EXAMPLES[call])
        assert envelope["status"] == "success", envelope
        fits(f"/api/v1/{call}", envelope)
    id_ = envelope["data"]["messages"]["ann@example.org"]["id"]
    key = DeliveryKey.from_postal_id(SERVER.id, id_)
    for at, kind in enumerate(set(EventType) - {EventType.OPENED, EventType.CLICKED}):
        api.ledger.record(Event(f"{at}", kind, key, 1e9 + at, attempt=AttemptFacts(at, "x")))
    for kind in (EventType.OPENED, EventType.CLICKED):
        view = ViewFacts("192.0.2.1", "UA", "https://x.test/" * (kind is EventType.CLICKED))
        api.ledger.record(Event(f"v{kind}", kind, key, 2e9, view=view))
    for call in ("messages/message", "messages/deliveries"):
        envelope = api.call(call, {"id": id_, "_expansions": True})
        assert envelope["status"] == "success"
        fits(f"/api/v1/{call}", envelope)
    api.bodies.stored.clear()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [None, "unknown", SUSPENDED_KEY, OTHER_KEY])
def test_refusals_of_a_key_are_as_described(path: str, key: str | None) -> None:
    fits(path, MemoryApi().call(path.removeprefix("/api/v1/"), {"id": 5}, key=key))


def test_the_description_is_served_without_a_key() -> None:
    status, served = MemoryApi().ask(http_event("GET", "/api/v1/openapi.json"))
    assert (status, served) == (200, json.loads(json.dumps(DESCRIPTION)))
    assert served["openapi"].startswith("3.1")


def test_the_description_knows_every_code_expansion_and_example() -> None:
    folder = Path(__file__).parents[2] / "functions" / "api" / "mail_api"
    modules = ("params", "reading", "recipients", "routes", "schema", "sending")
    sources = "".join((folder / f"{name}.py").read_text() for name in modules)
    raised = set(re.findall(r'"((?:[A-Z]+[a-z]+){2,}|[A-Z][a-zA-Z]*APIKey)"', sources))
    text = json.dumps(DESCRIPTION)
    assert {"MessageNotFound", "ResponseTooLarge", "TooManyCCAddresses"} <= raised
    assert not [word for word in (*raised, *EXPANSIONS) if f'"{word}"' not in text]
    for path in PATHS:
        content = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]
        described = content["application/json"]
        Draft202012Validator(described["schema"]).validate(described["example"])
