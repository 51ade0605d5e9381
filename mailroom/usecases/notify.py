"""Make one webhook call, and see to it that a failed one is made again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mailroom.domain.notify_retry import NotifyPolicy, hop, retry_after_seconds
from mailroom.domain.webhook_target import is_topic, organisation_topic
from mailroom.ports import (
    Answer,
    Chance,
    Clock,
    Directory,
    Endpoint,
    Notification,
    Notifications,
    Topic,
)
from mailroom.ports.app_mail import AppMailError, LetterBox, RawLetter
from mailroom.usecases.gatekeeper import Closed, Gatekeeper, Pass, jitter
from mailroom.usecases.notify_sender import MAIL_SCHEME

USER_AGENT = "Mailroom/0.1"
_REMOVED_AFTER = 120.0  # seconds; twice as old as the directory's answers may be
_UNCALLED = Answer(0, problem="not called: the endpoint was failing or busy until the end")


class Told(StrEnum):
    """What became of one queued call."""

    TOLD = "told"
    RETRY = "retry"
    GIVEN_UP = "given_up"
    WAITING = "waiting"  # its time has not come; back in the queue
    HELD_BACK = "held_back"  # its endpoint is in trouble or busy; back in the queue, untried
    REMOVED = "removed"  # the webhook is gone or disabled


@dataclass(frozen=True, slots=True)
class NotifyPorts:
    """The world `notify` needs. `signatures` returns the signature headers of a body.

    `topics` are the organisations' own; the ARNs of theirs, and of no other topic, are
    `topic_family` followed by the organisation's id. `letters` takes delivery reports.
    """

    directory: Directory
    notifications: Notifications
    endpoint: Endpoint
    topics: Topic
    gatekeeper: Gatekeeper
    clock: Clock
    chance: Chance
    signatures: Callable[[bytes], dict[str, str]]
    topic_family: str = ""
    policy: NotifyPolicy = field(default_factory=NotifyPolicy)
    letters: LetterBox | None = None


def notify(notification: Notification, ports: NotifyPorts) -> Told:
    """Call the endpoint once, unless it is too early; queue the next try if it failed.

    A crash anywhere repeats the call, with the same uuid; none is forgotten, because the queue
    entry goes only after the next one is in.
    """
    now = ports.clock.now()
    if notification.not_before > now:
        _enqueue(notification, now, ports)
        return Told.WAITING
    if _is_removed(notification, now, ports):
        return Told.REMOVED
    # Signed before the endpoint is asked for: without a key no place may be taken.
    headers = _headers(notification, ports)
    given = ports.gatekeeper.enter(_gate_name(notification), now, waits=notification.waits)
    if isinstance(given, Closed):
        return _hold_back(notification, given, now, ports)
    tried = replace(notification, attempt=notification.attempt + 1, waits=0)
    answer = _called(tried, headers, given, ports)
    return _settle(tried, answer, ports)


def _called(
    notification: Notification, headers: dict[str, str], given: Pass, ports: NotifyPorts
) -> Answer:
    started = ports.clock.now()
    if is_topic(notification.url):
        answer = _published(notification, ports)
    elif is_report(notification):
        answer = _posted(notification, ports.letters)
    else:
        answer = ports.endpoint.post(notification.url, notification.body.encode(), headers)
    now = ports.clock.now()
    seconds = max(0.0, now - started)
    ports.gatekeeper.leave(given, answer.status, seconds=seconds, now=now)
    return replace(answer, seconds=seconds)


def is_report(notification: Notification) -> bool:
    """Say whether a notification is a delivery report, which goes by mail."""
    return notification.url.startswith(MAIL_SCHEME)


def _posted(notification: Notification, letters: LetterBox | None) -> Answer:
    """Hand a report to the platform's mail server, with an empty sender: nobody answers it."""
    if letters is None:
        return Answer(0, problem="the platform has no mail server for reports")
    to = notification.url.removeprefix(MAIL_SCHEME)
    try:
        letters.post(RawLetter(to, notification.body.encode(), sender=""))
    except AppMailError as trouble:
        return Answer(0, problem=str(trouble))
    return Answer(250)


def _published(notification: Notification, ports: NotifyPorts) -> Answer:
    """Publish to the organisation's own topic; a row that names another one reaches nobody."""
    if notification.url != _own_topic(notification, ports):
        return Answer(0, problem="the topic is not this organisation's")
    attributes = {"event": notification.event, "server": notification.server}
    return ports.topics.publish(notification.url, notification.body, attributes)


def _own_topic(notification: Notification, ports: NotifyPorts) -> str:
    server = ports.directory.server(notification.server)
    if server is None:
        return ""
    try:
        return organisation_topic(ports.topic_family, server.organisation)
    except ValueError:
        return ""


def _settle(tried: Notification, answer: Answer, ports: NotifyPorts) -> Told:
    now = ports.clock.now()
    again = None if answer.ok else _retry_at(tried, answer, now, ports)
    answer = replace(answer, will_retry=again is not None)
    # Remembered before it is queued: failing here repeats this try and starts no second chain.
    ports.notifications.remember(tried, at=now, answer=answer)
    if answer.ok:
        return Told.TOLD
    if again is None:
        return Told.GIVEN_UP
    _enqueue(replace(tried, not_before=again), now, ports)
    return Told.RETRY


def _retry_at(tried: Notification, answer: Answer, now: float, ports: NotifyPorts) -> float | None:
    return ports.policy.retry_at(
        tried.attempt,
        now,
        tried.first_at,
        jitter=jitter(ports.chance),
        retry_after=retry_after_seconds(answer.retry_after, now),
    )


def _hold_back(notification: Notification, closed: Closed, now: float, ports: NotifyPorts) -> Told:
    """Queue the call untried. That counts as no attempt, but ends with the time for retries."""
    deadline = ports.policy.deadline(notification.first_at)
    if now >= deadline:
        ports.notifications.remember(notification, at=now, answer=_UNCALLED)
        return Told.GIVEN_UP
    until = min(closed.until, max(deadline, now + 1.0))
    again = replace(notification, not_before=until, waits=notification.waits + 1)
    _enqueue(again, now, ports)
    return Told.HELD_BACK


def _headers(notification: Notification, ports: NotifyPorts) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    if notification.sign and not is_topic(notification.url):
        headers |= ports.signatures(notification.body.encode())
    return headers


def _gate_name(notification: Notification) -> str:
    """Name the endpoint: a tenant's own, so that nobody closes another's, and of this URL."""
    digest = hashlib.sha256(notification.url.encode()).hexdigest()[:16]
    return f"{notification.server}#{notification.webhook}#{digest}"


def _enqueue(notification: Notification, now: float, ports: NotifyPorts) -> None:
    ports.notifications.enqueue([notification], delay=hop(now, notification.not_before))


def _is_removed(notification: Notification, now: float, ports: NotifyPorts) -> bool:
    if is_report(notification) or now - notification.first_at < _REMOVED_AFTER:
        return False
    webhooks = ports.directory.webhooks(notification.server)
    return all(webhook.id != notification.webhook for webhook in webhooks)
