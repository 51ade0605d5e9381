"""One webhook call, its retries and its history."""

import threading
from dataclasses import replace

import pytest
from mail_webhooks import consumers

from mailroom.adapters.notification_text import dump_notification
from mailroom.domain.breaker import Policy
from mailroom.domain.message import ServerId, Webhook
from mailroom.domain.notify_retry import NotifyPolicy
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryDirectory
from mailroom.fakes.notifying import (
    MemoryGates,
    MemoryNotifications,
    MemoryTopic,
    ScriptedEndpoint,
)
from mailroom.ports import Answer, Notification
from mailroom.usecases.gatekeeper import Gatekeeper
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
REFUSAL = Answer(404, "not here")  # no trouble of the endpoint: the breaker stays closed


class Calm(FixedChance):
    """Chance without jitter."""

    def bits(self, count):
        return 32_768 if count == 16 else super().bits(count)


def ports(*answers: Answer, divisor: float = 1.0, hooks: bool = True) -> NotifyPorts:
    directory = MemoryDirectory()
    if hooks:
        directory.add_webhook(Webhook("w1", SERVER, CALL.url))
    return NotifyPorts(
        directory=directory,
        notifications=MemoryNotifications(),
        endpoint=ScriptedEndpoint(answers or (Answer(200, "ok"),)),
        topics=MemoryTopic(),
        gatekeeper=Gatekeeper(MemoryGates(), Calm(), Policy(divisor=divisor)),
        clock=FixedClock(NOW),
        chance=Calm(),
        signatures=lambda body: {"X-Postal-Signature": f"signed {len(body)}"},
        policy=NotifyPolicy(divisor=divisor),
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
    assert (again.attempt, delay, again.uuid) == (1, 121, CALL.uuid)
    assert again.not_before == pytest.approx(NOW + 120, abs=0.01)
    assert world.notifications.tries[0][2].will_retry


@pytest.mark.parametrize("answer", [REFUSAL, FAILURE])
def test_a_call_nobody_takes_is_made_for_a_day_then_left_alone(answer):
    world = ports(answer)
    lived = live_through(CALL, world)
    assert lived[-1][0] is Told.GIVEN_UP
    assert 86_400 <= lived[-1][1] <= 86_410
    tries = [entry[2].will_retry for entry in world.notifications.tries]
    assert tries == [True] * (len(tries) - 1) + [False]
    assert [made.attempt for made, _, _ in world.notifications.tries] == [*range(1, 14)]


def test_waiting_in_the_queue_costs_no_try():
    world = ports(*[REFUSAL] * 11, Answer(204))
    lived = live_through(CALL, world)
    assert lived[-1][0] is Told.TOLD
    assert len(world.endpoint.calls) == 12
    assert sum(told is Told.WAITING for told, _ in lived) > 70


@pytest.mark.parametrize("status", [429, 503, 404])
def test_what_the_endpoint_asks_for_is_waited_for(status):
    world = ports(Answer(status, retry_after="600"))
    notify(CALL, world)
    assert world.notifications.queued[0][0].not_before == NOW + 600


def test_the_history_knows_how_long_a_call_took():
    class Slow:
        def post(self, url, body, headers):
            world.clock.at += 3.5
            return Answer(200)

    world = replace(ports(), endpoint=Slow())
    notify(CALL, world)
    assert world.notifications.tries[0][2].seconds == 3.5


def fail_often(world):
    """Let the endpoint fail until its breaker opens."""
    for n in range(5):
        notify(replace(CALL, uuid=f"u{n}"), world)
        world.clock.at += 10
    world.notifications.queued.clear()


def test_while_the_breaker_is_open_calls_go_back_untried():
    world = ports(FAILURE)
    fail_often(world)
    made = len(world.endpoint.calls)
    assert notify(CALL, world) is Told.HELD_BACK
    ((again, delay),) = world.notifications.queued
    assert (again.attempt, again.waits) == (0, 1)
    assert 1 <= delay <= 31
    assert len(world.endpoint.calls) == made == 5


def test_an_endpoint_that_is_back_gets_what_was_held_back():
    world = ports(*[FAILURE] * 5, Answer(200))
    fail_often(world)
    lived = live_through(CALL, world)
    assert lived[-1][0] is Told.TOLD
    assert world.notifications.tries[-1][0].waits == 0


def test_what_was_held_back_all_day_is_given_up_and_said():
    world = ports(FAILURE)
    fail_often(world)
    late = replace(CALL, first_at=world.clock.at - 86_401)
    assert notify(late, world) is Told.GIVEN_UP
    made, _, answer = world.notifications.tries[-1]
    assert (made.attempt, answer.status, answer.will_retry) == (0, 0, False)
    assert "not called" in answer.problem


def test_one_tenants_dead_endpoint_closes_nothing_for_another():
    world = ports(FAILURE)
    fail_often(world)
    other = replace(CALL, server=ServerId("klmnopqrst"))
    assert notify(other, world) is Told.RETRY


def test_a_new_url_is_a_new_endpoint():
    world = ports(FAILURE)
    fail_often(world)
    assert notify(replace(CALL, url="https://hook.example/moved"), world) is Told.RETRY


def test_a_divisor_shortens_every_wait():
    world = ports(FAILURE, divisor=60)
    notify(CALL, world)
    assert world.notifications.queued[0][1] == 3  # two seconds and a hair of jitter


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
    unsigned = replace(world, signatures=no_key)
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
    last = replace(CALL, attempt=11, first_at=NOW - 86_401)
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
    meeting = replace(world, endpoint=Rendezvous())
    records = [{"messageId": id_, "body": dump_notification(CALL)} for id_ in "12"]
    assert consumers.deliver({"Records": records}, meeting) == {"batchItemFailures": []}
