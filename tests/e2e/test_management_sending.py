"""Sending over the management API on a running stack: content, schedules, uploads, simulations."""

import base64
import random
import secrets
import time
from datetime import datetime
from typing import Any

import pytest

from tests.support.api_tenant import Api, ApiServer, ApiTenant, put
from tests.support.customer import wait_for

pytestmark = pytest.mark.stack
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
LINK = "https://example.com/offer"
SOON = 4.0  # seconds


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


def file(name: str, content: bytes, **fields: str) -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(content).decode(), **fields}


@pytest.fixture(scope="session")
def shop(api_tenant: ApiTenant) -> ApiServer:
    return api_tenant.server("Shop")


def test_each_of_three_recipients_gets_a_text_of_their_own(shop: ApiServer) -> None:
    people = {"Ann": box(), "Ben": box(), "Cleo": box()}
    sent = shop.submit(
        [
            {"email": address, "name": name, "substitutions": {"name": name}}
            for name, address in people.items()
        ],
        subject="{{greeting}} {{name}}",
        text="Dear {{name}}, {{greeting}}",
        html='<p>Dear <b>{{name}}</b> <img src="cid:logo"></p>',
        substitutions={"greeting": "Welcome", "name": "customer"},
        attachments=[
            file("terms.txt", b"Be kind.", content_type="text/plain"),
            file("logo.png", PIXEL, content_type="image/png", content_id="logo"),
        ],
        headers={"X-Order": "1001"},
        tags=["welcome", "spring"],
        metadata={"order": "1001"},
    )
    assert len(sent["messages"]) == 3
    assert sent["stream"] == "transactional"
    for name, address in people.items():
        mail = shop.arrived(address)
        assert (mail["dkim"], mail["subject"]) == ("pass", f"Welcome {name}")
        assert mail["text"].strip() == f"Dear {name}, Welcome"
        assert f"Dear <b>{name}</b>" in mail["html"]
        others = set(people) - {name}
        assert not any(other in mail["text"] + mail["html"] for other in others)
        assert ["X-Order", "1001"] in mail["headers"]
        names = {each["filename"] for each in mail["attachments"]}
        assert names == {"terms.txt", "logo.png"}
        assert mail["message_id"] == sent["message_id"]
        assert "cid:logo" in mail["html"]
        assert b"Content-ID: <logo>" in base64.b64decode(mail["raw"])
    detail = shop.message(sent["messages"][0]["id"])
    assert detail["tags"] == ["welcome", "spring"]
    assert detail["metadata"] == {"order": "1001"}
    assert detail["token"] == sent["messages"][0]["token"]


def test_a_repeated_idempotency_key_is_one_message(shop: ApiServer) -> None:
    to, key = box(), secrets.token_hex(8)
    first, again = (
        shop.sender.ask("POST", "/messages", shop.letter([to]), idempotency_key=key)
        for _ in range(2)
    )
    assert (first.status, again.status) == (202, 202)
    assert (again.json, again.headers["idempotency-replayed"]) == (first.json, "true")
    other = shop.sender.ask("POST", "/messages", shop.letter([box()]), idempotency_key=key)
    assert (other.status, other.json["error"]["code"]) == (422, "idempotency_key_reused")
    shop.in_state(first.json["messages"][0]["id"], "sent")
    assert len(shop.customer.mailbox(to)) == 1
    assert len(shop.found(recipient=to)["ids"]) == 1


def test_scheduled_mail_goes_out_at_its_time_and_not_before(shop: ApiServer) -> None:
    send_at = round(time.time() + SOON, 3)
    to, dropped, moved = box(), box(), box()
    sent = shop.submit([to], send_at=send_at)
    assert sent["send_at"] == send_at
    assert [each["state"] for each in sent["messages"]] == ["scheduled"]
    id_ = sent["messages"][0]["id"]
    later = shop.send([dropped, moved], send_at=send_at + 86_400)
    assert shop.found("queue")["ids"] >= set(later.values())

    assert shop.act(later[dropped], "cancel").json["state"] == "cancelled"
    path = f"{shop.path}/messages/{later[moved]}"
    assert shop.owner("PATCH", path, {"send_at": send_at})["id"] == later[moved]

    for each, address in ((id_, to), (later[moved], moved)):
        detail = shop.in_state(each, "sent")
        kinds = {event["type"]: event["at"] for event in detail["events"]}
        if each == id_:
            assert kinds["sent"] >= send_at
            mail = shop.arrived(address)
            assert datetime.fromisoformat(mail["received_at"]).timestamp() >= send_at
        assert len(shop.customer.mailbox(address)) == 1
    shop.in_state(later[dropped], "cancelled")
    assert shop.customer.mailbox(dropped) == []
    assert shop.act(id_, "cancel").status == 409


def test_an_upload_is_attached_by_its_name(api_tenant: ApiTenant, shop: ApiServer) -> None:
    content = random.Random(7).randbytes(200_000)
    upload = shop.sender("POST", "/uploads", {"size": len(content)})
    assert put(shop.customer, upload["url"], content) == 200
    to = box()
    scan = {"name": "scan.pdf", "content_type": "application/pdf", "upload": upload["upload"]}
    (id_,) = shop.send([to], attachments=[scan]).values()
    (attachment,) = shop.arrived(to)["attachments"]
    assert (attachment["filename"], attachment["size"]) == ("scan.pdf", len(content))
    one = shop.owner.ask("GET", f"{shop.path}/messages/{id_}/attachments/1")
    assert one.raw == content

    stranger = api_tenant.server("Stranger")
    refused = stranger.sender.ask("POST", "/messages", stranger.letter([to], attachments=[scan]))
    assert refused.status == 422
    assert refused.json["error"]["fields"][0]["path"] == "attachments.0.upload"


def test_stream_and_tracking_are_as_the_call_says(shop: ApiServer) -> None:
    shop.owner("POST", f"{shop.path}/streams", {"name": "news", "class": "broadcast"})
    html = f'<p>Look at <a href="{LINK}">it</a></p>'
    tracked, plain = box(), box()
    ids = shop.send([tracked], html=html, stream="news")
    ids |= shop.send([plain], html=html, track_opens=False, track_clicks=False)
    mail = shop.arrived(tracked)
    assert len(mail["pixels"]) == 1
    assert LINK not in mail["links"]
    mail = shop.arrived(plain)
    assert (mail["pixels"], mail["links"]) == ([], [LINK])
    assert shop.message(ids[tracked])["stream"] == "news"
    assert shop.found(stream="news")["ids"] == {ids[tracked]}
    refused = shop.sender.ask("POST", "/messages", shop.letter([plain], stream="no-such"))
    assert refused.status == 422


def test_a_sandbox_simulates_and_nothing_arrives(api_tenant: ApiTenant) -> None:
    sandbox = api_tenant.server("Sandbox", mode="sandbox")
    fine, bad = box(), box("hard-bounce")
    ids = sandbox.send([fine, bad])
    assert sandbox.in_state(ids[fine], "sent")["attempts"] == 1
    bounced = sandbox.in_state(ids[bad], "bounced")
    assert bounced["events"][-1]["attempt"]["bounce"] == "hard"
    sandbox.hook(ids[fine], "MessageSent", "Sent")
    sandbox.hook(ids[bad], "MessageDeliveryFailed", "HardFail")
    assert [sandbox.customer.mailbox(to) for to in ids] == [[], []]


def test_a_large_call_is_sent_to_the_large_url(shop: ApiServer) -> None:
    status = shop.customer.status
    large = Api(status["api_large_url"], shop.sender.key, status["ca_file"])
    to = box()
    content = random.Random(9).randbytes(5_250_000)  # seven million characters in base64
    letter = shop.letter([to], attachments=[file("video.bin", content)])
    refused = shop.sender.ask("POST", "/messages", letter)
    assert refused.status == 413
    assert large.url in refused.raw.decode()
    sent: Any = large("POST", "/messages", letter)
    shop.in_state(sent["messages"][0]["id"], "sent")
    (attachment,) = shop.arrived(to)["attachments"]
    assert attachment["size"] == len(content)


def test_a_stopped_key_sends_nothing_more(api_tenant: ApiTenant) -> None:
    held = api_tenant.server("Careful")
    credential = {"type": "API", "name": "Careful", "scopes": ["messages:send"], "hold": True}
    made = held.owner("POST", f"{held.path}/credentials", credential)
    careful = Api(held.sender.url, made["secret"])
    to = box()
    (sent,) = careful("POST", "/messages", held.letter([to]))["messages"]
    held.in_state(sent["id"], "held")
    held.hook(sent["id"], "MessageHeld", "Held")
    held.owner("DELETE", f"{held.path}/credentials/{made['id']}")
    wait_for(
        lambda: careful.ask("POST", "/messages", held.letter([box()], test=True)).status == 401,
        what="the deleted key to open nothing",
    )
    assert held.act(sent["id"], "release").status == 200
    held.in_state(sent["id"], "sent")
    assert len(held.customer.mailbox(to)) == 1
