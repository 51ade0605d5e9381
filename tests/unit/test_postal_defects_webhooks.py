"""Defects of Postal's webhooks (reference of Postal, list of defects), each shown to be absent."""

import json
from dataclasses import replace

import pytest
from mail_webhooks import consumers

from mailroom.adapters.notification_text import dump_notification, load_notification
from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    EPOCH,
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
    Views,
    Webhook,
)
from mailroom.domain.postal_words import WEBHOOK_EVENTS
from mailroom.domain.tenancy.spelling import dump_webhook, load_webhook
from mailroom.domain.visit_rules import Verdict
from mailroom.domain.webhook_target import check_webhook
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryDirectory, MemoryLedger
from mailroom.fakes.notifying import (
    MemoryGates,
    MemoryNotifications,
    MemoryTopic,
    ScriptedEndpoint,
)
from mailroom.ports import Notification
from mailroom.usecases.fan_out import FanOutPorts, fan_out
from mailroom.usecases.gatekeeper import Gatekeeper, Policy
from mailroom.usecases.notify import NotifyPorts, notify

SERVER = ServerId("abcdefghij")
URL = "https://hook.example/in"
KEY = DeliveryKey(SERVER, 1000 << 13, 0)
ACCEPTED = EPOCH + 1000.0
SUBMISSION = Submission(
    server=SERVER,
    number=KEY.number,
    accepted_at=ACCEPTED,
    expires_at=ACCEPTED + 172_800,
    mail_from="a@demo.test",
    from_address="a@demo.test",
    sign_domain="demo.test",
    subject="s",
    message_id="m@demo.test",
    tag=None,
    size=1,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b"x"),
)
SENT = Event(
    f"{KEY}/1/sent", EventType.SENT, KEY, ACCEPTED + 2, AttemptFacts(1, "ok", "250 ok", 250)
)


class Killed(BaseException):
    """The process ended here."""


class Dying:
    """A port whose `moment` kills the process, the first time it is reached."""

    def __init__(self, port: object, moment: str, *, late: bool) -> None:
        self._port, self._moment, self._late = port, moment, late

    def __getattr__(self, name: str) -> object:
        real = getattr(self._port, name)
        if name != self._moment:
            return real
        self._moment = ""

        def die(*given: object, **named: object) -> None:
            if self._late:
                real(*given, **named)
            raise Killed

        return die


def call(**more: object) -> Notification:
    made = Notification("u1", SERVER, "w1", URL, "MessageSent", "{}", attempt=0, first_at=ACCEPTED)
    return replace(made, **more)  # type: ignore[arg-type]


def notify_ports() -> NotifyPorts:
    directory, chance = MemoryDirectory(), FixedChance()
    directory.add_webhook(Webhook("w1", SERVER, URL))
    return NotifyPorts(
        directory=directory,
        notifications=MemoryNotifications(),
        endpoint=ScriptedEndpoint(),
        topics=MemoryTopic(),
        gatekeeper=Gatekeeper(MemoryGates(), chance, Policy()),
        clock=FixedClock(ACCEPTED),
        chance=chance,
        signatures=lambda _: {"X-Postal-Signature": "s"},
    )


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("port", "moment"),
    [
        ("endpoint", "post"),
        ("notifications", "remember"),
        ("gatekeeper", "enter"),
        ("gatekeeper", "leave"),
    ],
)
def test_defect_4_a_crash_locks_no_call_for_ever(port: str, moment: str, late: bool) -> None:
    world = notify_ports()
    dying = Dying(getattr(world, port), moment, late=late)
    crashing = replace(world, **{port: dying})  # type: ignore[arg-type]
    record = {"messageId": "1", "body": dump_notification(call())}
    with pytest.raises(Killed):
        consumers.deliver({"Records": [record]}, crashing)
    # Nothing was acknowledged, so SQS shows the same entry again, to whichever process.
    assert consumers.deliver({"Records": [record]}, world) == {"batchItemFailures": []}
    assert isinstance(world.endpoint, ScriptedEndpoint)
    assert world.endpoint.calls


def test_defect_4_a_crash_during_the_only_probe_closes_no_endpoint_for_ever() -> None:
    gates, chance, policy = MemoryGates(), FixedChance(), Policy()
    one = Gatekeeper(gates, chance, policy)
    now = ACCEPTED
    while not gates.writes:
        given = one.enter("s#w", now)
        one.leave(given, 0, seconds=0.1, now=now)  # type: ignore[arg-type]
        now += 10
    crashed = one.enter("s#w", now + 60)
    assert getattr(crashed, "kind", "") == "probe"
    other = Gatekeeper(gates, FixedChance(1), policy)
    assert getattr(other.enter("s#w", now + 60 + policy.hold), "kind", "") == "probe"


POSTALS = [
    "MessageSent", "MessageDelayed", "MessageDeliveryFailed", "MessageHeld", "MessageBounced",
    "MessageLinkClicked", "MessageLoaded", "DomainDNSError", "SendLimitApproaching",
    "SendLimitExceeded",
]  # fmt: skip
OURS = ["DomainDNSRecovered", "ServerBrakeHeld", "ServerBrakeLifted", "ServerBrakeWarned"]


@pytest.mark.parametrize("name", POSTALS + OURS)
def test_defect_14_every_event_can_be_chosen_by_itself(name: str) -> None:
    check_webhook(Webhook("w1", SERVER, URL, frozenset({name})))


def test_defect_14_the_list_is_postals_and_some_more_and_an_unknown_event_is_refused() -> None:
    assert sorted(POSTALS + OURS) == sorted(WEBHOOK_EVENTS)
    for wrong in ("MessageExploded", "messagesent", "", "SendLimit"):
        with pytest.raises(ValueError, match="there is no event"):
            check_webhook(Webhook("w1", SERVER, URL, frozenset({"MessageSent", wrong})))


@pytest.mark.parametrize("wrong", ["ftp://h.example/", "http://h.example:25/", "arn:aws:sqs:x", ""])
def test_a_url_that_nothing_calls_is_refused_when_it_is_written(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"URL|port"):
        check_webhook(Webhook("w1", SERVER, wrong))


def fan_out_ports(*webhooks: Webhook) -> FanOutPorts:
    directory, ledger = MemoryDirectory(), MemoryLedger()
    for webhook in webhooks:
        directory.add_webhook(webhook)
    ledger.reserve(
        [Delivery(KEY, "b@sim.test", State.SENT, ACCEPTED, ACCEPTED + 172_800, attempts=1)]
    )
    ledger.commit(SUBMISSION)
    return FanOutPorts(directory, ledger, FixedClock(ACCEPTED + 5), lambda: b"s" * 32)


@pytest.mark.parametrize("sign", [True, False])
def test_defect_15_the_sign_switch_is_honoured(sign: bool) -> None:
    stored = json.loads(dump_webhook(Webhook("w1", SERVER, URL, sign=sign)))
    (queued,) = fan_out(SENT, fan_out_ports(load_webhook("w1", SERVER, stored)))
    world = notify_ports()
    notify(load_notification(dump_notification(queued)), world)
    assert isinstance(world.endpoint, ScriptedEndpoint)
    ((_, _, headers),) = world.endpoint.calls
    assert ("X-Postal-Signature" in headers) is sign


def seen(verdict: str, *, url: str = "") -> Event:
    view = ViewFacts("192.0.2.7", "Browser", url, "192.0.2.0/24", verdict, 3 if verdict else 0)
    type_ = EventType.CLICKED if url else EventType.OPENED
    return Event(f"{KEY}/{type_}/{verdict}", type_, KEY, ACCEPTED + 60, view=view)


@pytest.mark.parametrize("url", ["", "https://example.com/"])
@pytest.mark.parametrize("verdict", list(Verdict))
def test_defect_21_each_hit_says_who_it_was(verdict: Verdict, url: str) -> None:
    (queued,) = fan_out(seen(verdict, url=url), fan_out_ports(Webhook("w1", SERVER, URL)))
    payload = json.loads(queued.body)["payload"]
    assert (payload["verdict"], payload["rules"]) == (verdict, 3)


@pytest.mark.parametrize("url", ["", "https://example.com/"])
@pytest.mark.parametrize("verdict", ["", *Verdict])
def test_defect_21_a_webhook_may_hear_of_people_only(verdict: str, url: str) -> None:
    every = Webhook("every", SERVER, URL)
    people = Webhook("people", SERVER, URL, views=Views.HUMAN)
    assert load_webhook("people", SERVER, json.loads(dump_webhook(people))) == people
    told = {made.webhook for made in fan_out(seen(verdict, url=url), fan_out_ports(every, people))}
    assert told == ({"every", "people"} if verdict == Verdict.PERSON else {"every"})


def test_defect_21_what_is_no_view_is_told_to_both() -> None:
    people = Webhook("people", SERVER, URL, views=Views.HUMAN)
    assert [made.webhook for made in fan_out(SENT, fan_out_ports(people))] == ["people"]
