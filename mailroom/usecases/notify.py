"""Make one webhook call, and see to it that a failed one is made again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from mailroom.domain.notify_retry import hop, retry_delay
from mailroom.ports import Answer, Clock, Directory, Endpoint, Notification, Notifications

USER_AGENT = "Mailroom/0.1"
_REMOVED_AFTER = 120.0  # seconds; twice as old as the directory's answers may be


class Told(StrEnum):
    """What became of one queued call."""

    TOLD = "told"
    RETRY = "retry"
    GIVEN_UP = "given_up"
    WAITING = "waiting"  # its time has not come; back in the queue
    REMOVED = "removed"  # the webhook is gone or disabled


@dataclass(frozen=True, slots=True)
class NotifyPorts:
    """The world `notify` needs. `signatures` returns the signature headers of a body."""

    directory: Directory
    notifications: Notifications
    endpoint: Endpoint
    clock: Clock
    signatures: Callable[[bytes], dict[str, str]]
    delay_divisor: float = 1.0


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
    tried = replace(notification, attempt=notification.attempt + 1)
    answer = _call(tried, ports)
    now = ports.clock.now()
    delay = None if answer.ok else retry_delay(tried.attempt, divisor=ports.delay_divisor)
    # Remembered before it is queued: failing here repeats this try and starts no second chain.
    ports.notifications.remember(tried, at=now, answer=replace(answer, will_retry=bool(delay)))
    if answer.ok:
        return Told.TOLD
    if delay is None:
        return Told.GIVEN_UP
    _enqueue(replace(tried, not_before=now + delay), now, ports)
    return Told.RETRY


def _call(notification: Notification, ports: NotifyPorts) -> Answer:
    body = notification.body.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        **ports.signatures(body),
    }
    return ports.endpoint.post(notification.url, body, headers)


def _enqueue(notification: Notification, now: float, ports: NotifyPorts) -> None:
    ports.notifications.enqueue([notification], delay=hop(now, notification.not_before))


def _is_removed(notification: Notification, now: float, ports: NotifyPorts) -> bool:
    if now - notification.first_at < _REMOVED_AFTER:
        return False
    webhooks = ports.directory.webhooks(notification.server)
    return all(webhook.id != notification.webhook for webhook in webhooks)
