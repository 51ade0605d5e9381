"""The management API and the worker with the real adapters: sent, found, held, released."""

import json
from dataclasses import replace
from functools import cache

import mail_api.v2.wiring
import mail_api.wiring
import mail_scheduler.wiring
import pytest
from mail_api.door import create_whole, lazy_desk
from mail_api.wiring import from_environment
from mail_scheduler.working import work

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.hold import Hold, put_on_hold
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Credential, DeliveryKey, Server, ServerId
from tests.support.api_calls import http_event

pytestmark = pytest.mark.emulator
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
KEY = "k" * 24


@pytest.fixture
def handler(cloud, monkeypatch):
    for name, value in cloud.settings.resources.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAILROOM_RETURN_PATH_DOMAIN", "rp.mail.test")
    keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
    rows = DirectoryRows(
        bound(DirectoryRow, cloud.settings.resource("table", "directory")), keyring
    )
    rows.put_server(SERVER)
    scopes = frozenset({"messages:send", "messages:read", "messages:write"})
    rows.put_credential(Credential("c1", SERVER.id, "api", "main", scopes=scopes), KEY)
    rows.put_domain(
        "demo.test",
        "server#abcdefghij",
        selector="sel",
        private_key=b"k",
        verified=True,
        return_path_ok=True,
    )
    rows.put_key("token", "a", b"x" * 32, created_at=1.0)
    api = cache(from_environment)
    yield http_api(create_whole(api, lazy_desk(api)))
    for module in (mail_api.wiring, mail_api.v2.wiring, mail_scheduler.wiring):
        for made in vars(module).values():
            if hasattr(made, "cache_clear"):
                made.cache_clear()


def ask(handler, method, path, content=None, query=""):
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    body = None if content is None else json.dumps(content)
    event = http_event(method, f"/api/v2{path}", body, headers=headers, query=query)
    answer = handler(event, None)
    assert answer["statusCode"] == 200, answer["body"]
    return json.loads(answer["body"])


def send(handler, **letter):
    content = {"from": "me@demo.test", "plain_body": "hello", **letter}
    headers = {"x-server-api-key": KEY, "content-type": "application/json"}
    event = http_event("POST", "/api/v1/send/message", json.dumps(content), headers=headers)
    return json.loads(handler(event, None)["body"])["data"]["messages"]


def test_messages_are_found_read_and_moved_in_bulk(handler):
    sent = send(handler, to=["ann@x.test", "bob@x.test"], subject="Hello", tag="may")
    send(handler, to=["ann@x.test"], subject="Other")
    ids = {each: told["id"] for each, told in sent.items()}
    messages = f"/servers/{SERVER.id}/messages"

    found = ask(handler, "GET", messages)
    assert len(found["data"]) == 3
    assert found["is_complete"]
    by_name = ask(handler, "GET", messages, query="recipient=BOB@x.test")
    assert [each["id"] for each in by_name["data"]] == [ids["bob@x.test"]]
    tagged = ask(handler, "GET", messages, query="tag=may&text=hello+ann")
    assert [each["id"] for each in tagged["data"]] == [ids["ann@x.test"]]
    message_id = tagged["data"][0]["message_id"]
    assert len(ask(handler, "GET", messages, query=f"message_id={message_id}")["data"]) == 2
    shown = ask(handler, "GET", f"{messages}/{ids['ann@x.test']}")
    assert (shown["subject"], shown["state"]) == ("Hello", "queued")
    assert ask(handler, "GET", f"{messages}/{ids['ann@x.test']}/bodies")["text"] == "hello"

    key = DeliveryKey.from_postal_id(SERVER.id, ids["ann@x.test"])
    work_ports = mail_scheduler.wiring.ports()
    row = work_ports.ledger.delivery(key)
    held = put_on_hold(
        replace(row, state=State.ATTEMPTING), Hold.DEVELOPMENT, now=row.accepted_at, seconds=999.0
    )
    assert work_ports.work.settle(row, held.after, held.event)
    assert [m["id"] for m in ask(handler, "GET", f"/servers/{SERVER.id}/held")["data"]] == [
        ids["ann@x.test"]
    ]
    asked = {"action": "release", "filter": {"tag": "may"}}
    assert ask(handler, "POST", f"{messages}/bulk", {**asked, "dry_run": True})["matching"] == 1
    job = ask(handler, "POST", f"{messages}/bulk", asked)["job"]
    event = {"Records": [{"body": json.dumps({"v": 1, "job": job})}]}
    work(event, mail_scheduler.wiring.kinds(), mail_scheduler.wiring.job_ports())
    done = mail_scheduler.wiring.job_ports().store.read(job)
    assert (str(done.state), done.progress.done, done.progress.failed) == ("done", 1, 0)
    assert work_ports.ledger.delivery(key).state is State.QUEUED
