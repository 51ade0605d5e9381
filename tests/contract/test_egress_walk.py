"""The operators' API with the real adapters: an order and shaping reach the table hosts read."""

import json
from functools import cache
from typing import Any

import mail_api.v2.wiring
import mail_api.wiring
import pytest
from mail_api.door import create_whole, lazy_desk
from mail_api.wiring import from_environment

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.spelling import credential_pk
from mailroom.usecases.orders import generation, read_orders
from mailroom.usecases.published import Kind, PublishPorts, current
from tests.support.api_calls import http_event

pytestmark = pytest.mark.emulator
KEY = "p" * 32


@pytest.fixture
def handler(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in cloud.settings.resources.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAILROOM_RETURN_PATH_DOMAIN", "rp.mail.test")
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    body = {"id": "key_root", "kind": "platform", "name": "root", "scopes": ["*"]}
    DynamoRegistry(rows).write([Change.put(Record(Place(credential_pk(KEY)), body))])
    api = cache(from_environment)
    yield http_api(create_whole(api, lazy_desk(api)))
    for module in (mail_api.wiring, mail_api.v2.wiring):
        for made in vars(module).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()


def ask(handler: Any, method: str, path: str, content: Any = None) -> Any:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    body = None if content is None else json.dumps(content)
    answer = handler(http_event(method, f"/api/v2{path}", body, headers=headers), None)
    assert answer["statusCode"] < 300, answer["body"]
    return json.loads(answer["body"]) if answer["body"] else None


def test_what_operators_do_is_in_the_table_that_hosts_read(handler: Any, cloud: Any) -> None:
    control = DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))
    before = generation(control)
    asked = {"verb": "pause", "reason": "Test", "selector": {"site": "gmail"}}
    order = ask(handler, "POST", "/egress/orders", asked)
    found = read_orders(control, now=order["created_at"]).orders
    assert [each.id for each in found] == [order["id"]]
    assert ask(handler, "GET", "/egress/status")["orders"] == 1
    ask(handler, "DELETE", f"/egress/orders/{order['id']}")
    assert generation(control) == before + 2
    shaping = {"document": {"defaults": {"connections": 7}}, "reason": "Test"}
    ask(handler, "POST", "/egress/shaping", shaping)
    published = current(Kind.SHAPING, PublishPorts(control))
    assert published is not None
    assert published.document == shaping["document"]
    assert ask(handler, "GET", "/egress/ips") == {"data": [], "next_cursor": None}
    assert ask(handler, "GET", "/egress/rules/unknown")["data"] == []
