"""The API's two base URLs on a running platform: what is large goes through the host's."""

import base64
import hashlib
import json
import random
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack
# Eight megabytes that no compression makes small, in base64 as a JSON client sends them.
CONTENT = random.Random(8).randbytes(8 * 1024 * 1024)


def letter(customer: Customer, to: str) -> dict[str, Any]:
    attachment = {
        "name": "video.bin",
        "content_type": "application/octet-stream",
        "data": base64.b64encode(CONTENT).decode(),
    }
    return {
        "to": [to],
        "from": customer.sender,
        "subject": "large",
        "plain_body": "see attachment",
        "attachments": [attachment],
    }


def post(customer: Customer, base: str, path: str, content: object) -> tuple[int, Any]:
    request = urllib.request.Request(
        base + path,
        data=json.dumps(content).encode(),
        headers={
            "Content-Type": "application/json",
            "X-Server-API-Key": customer.status["api_key"],
        },
    )
    context = ssl.create_default_context(cafile=customer.status["ca_file"])
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def test_a_large_attachment_is_refused_by_lambda_and_delivered_by_the_host(
    customer: Customer,
) -> None:
    to = "accept+large-api@sim.test"
    large = customer.status["api_large_url"]
    call = letter(customer, to)
    status, refusal = post(customer, customer.status["api_url"], "/api/v1/send/message", call)
    assert (status, refusal["Code"]) == (413, "RequestEntityTooLargeError")
    assert large in refusal["Message"]
    status, sent = post(customer, large, "/api/v1/send/message", call)
    assert (status, sent["status"]) == (200, "success"), sent
    id_ = sent["data"]["messages"][to]["id"]
    wait_for(lambda: customer.settled(id_), what="the large message to be sent")
    (found,) = customer.mailbox(to)
    raw = base64.b64decode(customer.mail(found["id"])["raw"])
    assert len(raw) > len(CONTENT)
    asked = {"id": id_, "_expansions": ["attachments"]}
    _, shown = post(customer, large, "/api/v1/messages/message", asked)
    (attachment,) = shown["data"]["attachments"]
    digest = hashlib.sha256(base64.b64decode(attachment["data"])).digest()
    assert digest == hashlib.sha256(CONTENT).digest()
    _, too_much = post(customer, customer.status["api_url"], "/api/v1/messages/message", asked)
    assert too_much["data"]["code"] == "ResponseTooLarge"
    assert large in too_much["data"]["message"]


def test_both_base_urls_are_the_same_api(customer: Customer) -> None:
    calls: list[tuple[str, object]] = [
        ("/api/v1/send/message", {}),
        ("/api/v1/messages/message", {"id": 5}),
        ("/api/v2/messages/5/release", {}),
        ("/nothing", {}),
    ]
    for path, content in calls:
        by_lambda, by_host = (
            post(customer, customer.status[base], path, content)
            for base in ("api_url", "api_large_url")
        )
        for _, answer in (by_lambda, by_host):
            answer.pop("time", None)
            if isinstance(answer.get("error"), dict):
                answer["error"].pop("request_id", None)
        assert by_lambda == by_host
