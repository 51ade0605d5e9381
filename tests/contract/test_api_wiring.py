"""The API's composition root with the real adapters: accepted mail is in table, store, queue."""

import json
from functools import cache

import pytest
from mail_api.routes import create_app
from mail_api.wiring import from_environment

from mailroom.adapters.chalice_http import http_api
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Credential, Server, ServerId
from mailroom.settings import SettingsError
from tests.support.api_calls import http_event

pytestmark = pytest.mark.emulator
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
HEADERS = {"x-server-api-key": "k" * 24, "content-type": "application/json"}


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
    rows.put_credential(Credential("c1", SERVER.id, "api", "main"), "k" * 24)
    rows.put_domain(
        "demo.test",
        "server#abcdefghij",
        selector="sel",
        private_key=b"k",
        verified=True,
        return_path_ok=True,
    )
    rows.put_key("token", "a", b"x" * 32, created_at=1.0)
    return http_api(create_app(cache(from_environment)))


def answer(handler, method, path, content=None):
    body = None if content is None else json.dumps(content)
    return json.loads(handler(http_event(method, path, body, headers=HEADERS), None)["body"])


@pytest.mark.parametrize("size", [10, 200_000], ids=["inline", "in the store"])
def test_a_message_walks_from_the_call_to_table_store_and_queue(handler, cloud, size):
    letter = {
        "to": [f"a{n}@x.test" for n in range(12)],
        "from": "me@demo.test",
        "html_body": "".join(f"{n:x}" for n in range(size // 4)),
    }
    envelope = answer(handler, "POST", "/api/v1/send/message", letter)
    assert envelope["status"] == "success"
    messages = envelope["data"]["messages"]
    assert len(messages) == 12
    id_ = messages["a3@x.test"]["id"]
    record = answer(handler, "GET", f"/api/v2/messages/{id_}")
    assert (record["state"], record["recipient"]) == ("queued", "a3@x.test")
    assert record["token"] == messages["a3@x.test"]["token"]
    assert answer(handler, "POST", "/api/v1/messages/deliveries", {"id": id_})["data"] == []
    stored = cloud.client("s3").list_objects_v2(Bucket=cloud.settings.resource("bucket", "bodies"))
    assert stored["KeyCount"] == (1 if size > 10 else 0)
    waiting = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.settings.resource("queue", "lane"),
        AttributeNames=["ApproximateNumberOfMessages"],
    )
    assert int(waiting["Attributes"]["ApproximateNumberOfMessages"]) == 12


def test_a_missing_variable_is_named(handler, monkeypatch):
    monkeypatch.delenv("MAILROOM_RETURN_PATH_DOMAIN")
    with pytest.raises(SettingsError, match="MAILROOM_RETURN_PATH_DOMAIN"):
        from_environment()
