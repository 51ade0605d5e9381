"""The four steps as batches: parse, call the use case, report what failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mail_webhooks.batch import read_fact, run_batch
from mail_webhooks.stream import read_stream
from mailroom.adapters.log_line import log_line
from mailroom.adapters.notification_text import load_notification
from mailroom.domain.event import Event
from mailroom.domain.statistic import Recorded
from mailroom.ports import Facts, Notification, Notifications
from mailroom.usecases.fan_out import FanOutPorts
from mailroom.usecases.fan_out import fan_out as calls_for
from mailroom.usecases.notify import NotifyPorts, Told, notify
from mailroom.usecases.notify_sender import ReportPorts, report_of
from mailroom.usecases.publish import publish as publish_changes
from mailroom.usecases.record import RecordPorts, count
from mailroom.usecases.record import record as record_event

Report = dict[str, Any]
CONCURRENT_CALLS = 5  # ten calls of 25 seconds (the longest allowed) fit into the time-out


def publish(event: Mapping[str, Any], facts: Facts) -> Report:
    """Publish what a batch of the table's stream holds.

    Raises HandOverError if the topic did not take all, so that the whole batch comes again.
    Naming the first failed record would repeat less, but a stream poller that does not know
    such reports takes them for success and loses the rest, and repeats are harmless.
    """
    with log_line("publish") as line:
        read = read_stream(event["Records"])
        line["records"], line["malformed"] = len(event["Records"]), read.malformed[:10]
        line["published"] = publish_changes(read.changes, facts)
    return {"batchItemFailures": []}


def record(event: Mapping[str, Any], ports: RecordPorts) -> Report:
    """Keep a batch of events as history and count the new ones.

    What their messages are is asked first and at once, because without it nothing may become
    history: it would never be counted. Counters are approximate: a failure to count is logged and
    repeats nothing.
    """
    mailings = ports.mailings.of(_events(event["Records"]))

    def keep(body: str) -> Recorded | None:
        fact = read_fact(body)
        if not isinstance(fact, Event):
            return None  # a server's facts are history where they were written
        return record_event(fact, ports, mailings.get(fact.id))

    with log_line("record") as line:
        batch = run_batch(event, keep)
        new = [fact for fact in batch.done if fact is not None]
        with batch.guard():
            line["counted"] = count(new, ports)
        line |= batch.facts() | {"new": len(new)}
    return batch.report()


def _events(records: Iterable[Mapping[str, Any]]) -> list[Event]:
    """Return the events that can be read; `run_batch` says which cannot."""
    found = []
    for record in records:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            fact = read_fact(record["body"])
            if isinstance(fact, Event):
                found.append(fact)
    return found


def fan_out(
    event: Mapping[str, Any],
    ports: FanOutPorts,
    notifications: Notifications,
    reports: ReportPorts | None = None,
) -> Report:
    """Queue the webhook calls of a batch of facts, and the delivery reports they ask for."""

    def asked_for(body: str) -> Sequence[Notification]:
        fact = read_fact(body)
        report = report_of(fact, reports) if reports is not None else None
        return [*calls_for(fact, ports), *([report] if report is not None else [])]

    with log_line("fan_out") as line:
        batch = run_batch(event, asked_for)
        calls = [call for found in batch.done for call in found]
        if calls:
            # One send for the whole batch: which call was refused is not worth ten requests.
            with batch.guard(*(each["messageId"] for each in event["Records"])):
                notifications.enqueue(calls)
        line |= batch.facts() | {"calls": len(calls)}
    return batch.report()


def deliver(event: Mapping[str, Any], ports: NotifyPorts) -> Report:
    """Make a batch of webhook calls, five at a time."""

    def tell(body: str) -> tuple[Told, str]:
        notification = load_notification(body)
        return notify(notification, ports), notification.uuid

    with log_line("deliver") as line:
        batch = run_batch(event, tell, threads=CONCURRENT_CALLS)
        line |= batch.facts() | Counter(str(told) for told, _ in batch.done)
        given_up = [uuid for told, uuid in batch.done if told is Told.GIVEN_UP]
        if given_up:
            line["given_up_uuids"] = given_up
    return batch.report()
