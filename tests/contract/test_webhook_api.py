"""The API function's own wiring of the webhook history, over the real table and queue."""

from dataclasses import replace

import pytest
from mail_api.wiring import webhook_calls

from mailroom.adapters.notification_text import load_notification
from mailroom.domain.message import ServerId, Webhook
from mailroom.fakes.memory import FixedClock
from mailroom.ports import Answer, Notification
from mailroom.usecases.replay import ReplayPorts, replay_one
from tests.contract.conftest import Cloud

pytestmark = pytest.mark.emulator
SERVER = ServerId("abcdefghij")
HOOK = Webhook("w1", SERVER, "https://hook.example/", sign=False)
CALL = Notification(
    "u-1", SERVER, "w1", "https://old.example/", "MessageSent", '{"a":  1}', 3, 10.0
)


def test_what_was_called_is_called_again(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cloud.settings.resources.items():
        monkeypatch.setenv(name, value)
    webhook_calls.cache_clear()
    calls = webhook_calls()
    calls.remember(CALL, at=10.0, answer=Answer(500, will_retry=True))
    replay_one(HOOK, "u-1", ReplayPorts(calls, calls, FixedClock(99.0)))
    webhook_calls.cache_clear()
    queue = cloud.settings.resource("queue", "webhooks")
    (found,) = cloud.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    assert load_notification(found["Body"]) == replace(
        CALL, url=HOOK.url, attempt=0, first_at=99.0, sign=False, replay=True
    )
