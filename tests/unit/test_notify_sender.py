"""Who is told by mail what became of a message, and who is not."""

import json
import zlib
from dataclasses import replace

import pytest
from mail_webhooks import consumers

from mailroom.adapters.notification_text import dump_notification, load_notification
from mailroom.domain.address import parse_address
from mailroom.domain.dsn import Reporter
from mailroom.domain.dsn_request import DsnRequest, RecipientRequest, dump
from mailroom.domain.event import AttemptFacts, Event, EventType, dump_event
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Domain, Server
from mailroom.fakes.memory import FixedClock, MemoryDirectory, MemoryLedger
from mailroom.fakes.notifying import MemoryNotifications
from mailroom.ports.app_mail import AppMailError
from mailroom.usecases.fan_out import FanOutPorts, MessageUnseenError
from mailroom.usecases.notify import Told, notify
from mailroom.usecases.notify_sender import ReportPorts, report_of
from tests.unit.test_deliver import ports as notify_ports
from tests.unit.test_fan_out import ACCEPTED, DELIVERY, KEY, SERVER, SUBMISSION

FAILURE = dump(DsnRequest("", "id7", (RecipientRequest(("FAILURE",), "rfc822;b@sim.test"),)))
ALL = dump(DsnRequest("", "", (RecipientRequest(("SUCCESS", "FAILURE", "DELAY")),)))
ASKED = replace(SUBMISSION, dsn=ALL)
REFUSED = AttemptFacts(
    1, "refused", "550 5.1.1 no such user", 550, "RCPT", "mx.sim.test", bounce="hard", final=True
)
BOUNCED = Event(f"{KEY}/1/bounced", EventType.BOUNCED, KEY, ACCEPTED + 2.5, REFUSED)
LATE = replace(BOUNCED, id=f"{KEY}/9/delayed", type=EventType.DELAYED)


def world(submission=ASKED, *, domain="demo.test", suspended=None) -> ReportPorts:
    directory, ledger = MemoryDirectory(), MemoryLedger()
    directory.add_server(Server(SERVER, "acme", "Demo", "demo", "abcdef", suspended=suspended))
    directory.add_domain(Domain(domain, f"server#{SERVER}", True, "s", b""))
    if submission is not None:
        ledger.commit(submission)
    ledger.put(replace(DELIVERY, state=State.BOUNCED))
    reporter = Reporter("mail.example", parse_address("mailer-daemon@mail.example"))
    return ReportPorts(directory, ledger, FixedClock(ACCEPTED + 10), reporter)


def test_who_asked_for_failures_has_one_told() -> None:
    report = report_of(BOUNCED, world(replace(SUBMISSION, dsn=FAILURE)))
    assert report is not None
    assert (report.url, report.webhook, report.sign) == ("mailto:bounce@demo.test", "dsn", False)
    assert "Action: failed" in report.body
    assert "Status: 5.1.1" in report.body
    assert "Original-Envelope-Id: id7" in report.body
    assert "Diagnostic-Code: smtp; 550 5.1.1 no such user" in report.body
    assert load_notification(dump_notification(report)) == report


@pytest.mark.parametrize(
    ("body", "returned"),
    [
        (BodyRef(inline=zlib.compress(b"Subject: Hi\r\nX-Order: 7\r\n\r\nsecret\r\n")), True),
        (BodyRef(inline=zlib.compress(b"no end of a header")), False),
        (BodyRef(inline=b"garbage"), False),
        (BodyRef(key="30/org/77"), False),
    ],
)
def test_a_small_messages_header_comes_back_and_its_content_does_not(body, returned) -> None:
    report = report_of(BOUNCED, world(replace(ASKED, body=body)))
    assert report is not None
    assert ("X-Order: 7" in report.body) == returned
    assert ("text/rfc822-headers" in report.body) == returned
    assert "secret" not in report.body


def test_the_same_fact_gives_the_same_report() -> None:
    assert report_of(BOUNCED, world()) == report_of(BOUNCED, world())


@pytest.mark.parametrize(
    ("type_", "action"),
    [
        (EventType.BOUNCED, "failed"),
        (EventType.EXPIRED, "failed"),
        (EventType.SUPPRESSED, "failed"),
        (EventType.DELAYED, "delayed"),
        (EventType.UNCERTAIN, ""),
        (EventType.DEFERRED, ""),
        (EventType.SENT, ""),
        (EventType.CANCELLED, ""),
    ],
)
def test_failures_and_delays_are_told_and_doubt_is_not(type_: EventType, action: str) -> None:
    report = report_of(replace(BOUNCED, type=type_), world())
    assert (report is not None) == bool(action)
    assert report is None or f"Action: {action}" in report.body


@pytest.mark.parametrize(
    "submission",
    [
        SUBMISSION,  # nothing was asked
        replace(ASKED, bounce=True),
        replace(ASKED, mail_from=""),
        replace(ASKED, mail_from="somebody@elsewhere.test"),
        replace(ASKED, mail_from="jörg@demo.test"),
        replace(ASKED, test=True),
        replace(ASKED, dsn=dump(DsnRequest("", "", (RecipientRequest(("NEVER",)),)))),
        replace(ASKED, dsn="{garbage"),
    ],
)
def test_nobody_else_is_written_to(submission) -> None:
    assert report_of(BOUNCED, world(submission)) is None


def test_who_asked_for_failures_alone_hears_of_no_delay() -> None:
    asked = world(replace(SUBMISSION, dsn=FAILURE))
    assert report_of(LATE, asked) is None
    assert report_of(LATE, world()) is not None


def test_a_suspended_server_has_nobody_told() -> None:
    assert report_of(BOUNCED, world(suspended="spam")) is None


def test_a_young_event_without_its_message_is_looked_at_again() -> None:
    with pytest.raises(MessageUnseenError):
        report_of(BOUNCED, world(None))
    assert report_of(replace(BOUNCED, at=ACCEPTED + 9_999), world(None)) is None


def test_a_report_is_queued_beside_the_webhook_calls() -> None:
    known, queue = world(), MemoryNotifications()
    hooks = FanOutPorts(known.directory, known.ledger, known.clock, lambda: b"s" * 32)
    record = {"messageId": "1", "body": json.dumps(dump_event(BOUNCED))}
    assert consumers.fan_out({"Records": [record]}, hooks, queue, known) == {
        "batchItemFailures": []
    }
    assert [call.webhook for call, _ in queue.queued] == ["dsn"]


class Letters:
    """A mail server that takes what it is given after `refusals` refusals."""

    def __init__(self, refusals=0):
        self.refusals, self.taken = refusals, []

    def post(self, letter):
        if self.refusals:
            self.refusals -= 1
            raise AppMailError("the platform's mail server: SMTPServerDisconnected")
        self.taken.append(letter)


def test_a_report_goes_out_with_an_empty_sender_and_is_tried_again() -> None:
    report = report_of(BOUNCED, world())
    assert report is not None
    letters = Letters(refusals=1)
    told = replace(notify_ports(hooks=False), letters=letters)
    told.clock.at = report.first_at + 500  # no webhook is called dsn, and it is old
    assert notify(report, told) is Told.RETRY
    ((again, _),) = told.notifications.queued
    told.clock.at = again.not_before
    assert notify(again, told) is Told.TOLD
    (letter,) = letters.taken
    assert (letter.to, letter.sender) == ("bounce@demo.test", "")
    assert letter.message == report.body.encode()


def test_a_platform_without_a_mail_server_says_so_in_the_history() -> None:
    report = report_of(BOUNCED, world())
    assert report is not None
    told = notify_ports()
    told.clock.at = report.first_at
    assert notify(report, told) is Told.RETRY
    assert "no mail server" in told.notifications.tries[0][2].problem
