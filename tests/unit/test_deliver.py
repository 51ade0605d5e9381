"""One webhook call, its retries and its history."""

import threading
from itertools import pairwise

import pytest
from mail_webhooks import consumers

from mailroom.adapters.notification_text import dump_notification
from mailroom.adapters.queued_notifications import without_password
from mailroom.domain.message import ServerId, Webhook
from mailroom.fakes.memory import FixedClock, MemoryDirectory
from mailroom.fakes.notifying import MemoryNotifications, ScriptedEndpoint
from mailroom.ports import Answer, Notification
from mailroom.usecases.notify import NotifyPorts, Told, notify

SERVER = ServerId("abcdefghij")
NOW = 1_760_000_000.0
CALL = Notification(
    uuid="5f7c",
    server=SERVER,
    webhook="w1",
    url="https://hook.example/in",
    event="MessageSent",
    body='{"event":"MessageSent"}',
    attempt=0,
    first_at=NOW,
)
FAILURE = Answer(500, "oops")


def ports(*answers: Answer, divisor: float = 1.0, hooks: bool = True) -> NotifyPorts:
    directory = MemoryDirectory()
    if hooks:
        directory.add_webhook(Webhook("w1", SERVER, CALL.url))
    return NotifyPorts(
        directory=directory,
        notifications=MemoryNotifications(),
        endpoint=ScriptedEndpoint(answers or (Answer(200, "ok"),)),
        clock=FixedClock(NOW),
        signatures=lambda body: {"X-Postal-Signature": f"signed {len(body)}"},
        delay_divisor=divisor,
    )


def live_through(first: Notification, world: NotifyPorts) -> list[tuple[Told, float]]:
    """Let the queue deliver what it hides, whenever its time is, until it is empty."""
    lived, waiting = [], [(first, 0.0)]
    while waiting:
        notification, delay = waiting.pop()
        world.clock.at += delay
        lived.append((notify(notification, world), world.clock.at - NOW))
        waiting, world.notifications.queued = world.notifications.queued, []
    return lived


def test_the_body_is_posted_as_it_was_signed():
    world = ports()
    assert notify(CALL, world) is Told.TOLD
    assert world.endpoint.calls == [
        (
            CALL.url,
            CALL.body.encode(),
            {
                "Content-Type": "application/json",
                "User-Agent": "Mailroom/0.1",
                "X-Postal-Signature": f"signed {len(CALL.body)}",
            },
        )
    ]
    ((tried, at, answer),) = world.notifications.tries
    assert (tried.attempt, at, answer) == (1, NOW, Answer(200, "ok"))
    assert world.notifications.queued == []


@pytest.mark.parametrize("answer", [FAILURE, Answer(302), Answer(404), Answer(0, problem="gone")])
def test_anything_but_2xx_is_called_again_in_two_minutes(answer):
    world = ports(answer)
    assert notify(CALL, world) is Told.RETRY
    ((again, delay),) = world.notifications.queued
    assert (again.attempt, again.not_before, delay, again.uuid) == (1, NOW + 120, 120, CALL.uuid)
    assert world.notifications.tries[0][2].will_retry


def test_a_dead_endpoint_is_called_twelve_times_in_growing_steps_then_left_alone():
    world = ports(FAILURE)
    lived = live_through(CALL, world)
    tries = [at for told, at in lived if told is not Told.WAITING]
    steps = [(b - a) / 60 for a, b in pairwise(tries)]
    assert steps == [2, 3, 6, 10, 15, 30, 60, 120, 240, 480, 960]
    assert lived[-1][0] is Told.GIVEN_UP
    assert [answer.will_retry for _, _, answer in world.notifications.tries] == [True] * 11 + [
        False
    ]


def test_waiting_in_the_queue_costs_no_try():
    world = ports(*[FAILURE] * 11, Answer(204))
    lived = live_through(CALL, world)
    assert lived[-1][0] is Told.TOLD
    assert len(world.endpoint.calls) == 12
    assert sum(told is Told.WAITING for told, _ in lived) > 100


def test_a_divisor_shortens_every_wait():
    world = ports(FAILURE, divisor=60)
    notify(CALL, world)
    assert world.notifications.queued[0][1] == 2


def test_a_removed_webhook_is_not_called_any_more():
    world = ports(FAILURE, hooks=False)
    assert notify(CALL, world) is Told.RETRY  # it may be younger than what the directory keeps
    ((again, delay),) = world.notifications.queued
    world.clock.at += delay
    assert notify(again, world) is Told.REMOVED
    assert len(world.endpoint.calls) == 1


def test_no_signature_no_call():
    def no_key(_body):
        raise LookupError("no key")

    world = ports()
    unsigned = NotifyPorts(
        world.directory, world.notifications, world.endpoint, world.clock, no_key
    )
    record = {"messageId": "1", "body": dump_notification(CALL)}
    report = consumers.deliver({"Records": [record]}, unsigned)
    assert report == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert world.endpoint.calls == []


def test_a_retry_that_cannot_be_queued_leaves_the_record_in_the_queue(capsys):
    world = ports(FAILURE)
    world.notifications.broken = True
    record = {"messageId": "1", "body": dump_notification(CALL)}
    report = consumers.deliver({"Records": [record]}, world)
    assert report == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert "HandOverError" in capsys.readouterr().err


def test_giving_up_is_said_in_the_log(capsys):
    world = ports(FAILURE)
    last = Notification(**{f: getattr(CALL, f) for f in CALL.__slots__} | {"attempt": 11})
    consumers.deliver({"Records": [{"messageId": "1", "body": dump_notification(last)}]}, world)
    line = capsys.readouterr().err
    assert '"given_up": 1' in line
    assert CALL.uuid in line


class Rendezvous:
    """Answers only when another call is under way: alone, it would wait for ever."""

    def __init__(self) -> None:
        self._both = threading.Barrier(2, timeout=10)

    def post(self, url, body, headers):
        self._both.wait()
        return Answer(200)


def test_a_slow_endpoint_does_not_hold_up_its_neighbour():
    world = ports()
    meeting = NotifyPorts(
        world.directory, world.notifications, Rendezvous(), world.clock, lambda _: {}
    )
    records = [{"messageId": id_, "body": dump_notification(CALL)} for id_ in "12"]
    assert consumers.deliver({"Records": records}, meeting) == {"batchItemFailures": []}


def test_history_never_holds_the_password_of_a_url():
    assert without_password("https://u:p@h.example:8/x?y=1") == "https://h.example:8/x?y=1"
