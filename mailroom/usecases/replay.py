"""Make webhook calls again that were made before: one, or those of a time."""

from collections.abc import Iterable
from dataclasses import dataclass

from mailroom.domain.message import Webhook
from mailroom.ports import Clock, Notification, NotificationHistory, Notifications, Try

MAX_REPLAYED = 500  # calls a request
MAX_READ = 5_000  # tries read for them


class UnknownCallError(Exception):
    """The history has no such call, or only its beginning."""


@dataclass(frozen=True, slots=True)
class Range:
    """Calls with a try between two moments (Unix seconds), both included.

    `only_failed` leaves out those that any try up to now has delivered.
    """

    start: float
    end: float
    only_failed: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many calls were queued; `next_from` is where to go on, None when that was all."""

    replayed: int
    next_from: float | None = None


@dataclass(frozen=True, slots=True)
class ReplayPorts:
    """The world a replay needs."""

    history: NotificationHistory
    notifications: Notifications
    clock: Clock


def replay_one(webhook: Webhook, uuid: str, ports: ReplayPorts) -> None:
    """Queue a call again, to the webhook's present URL, with the same uuid and body.

    It is signed anew and retried like a new one. Raises UnknownCallError, HandOverError.
    """
    found = ports.history.find(webhook.server, webhook.id, uuid)
    if found is None or not found.is_whole:
        raise UnknownCallError(uuid)
    ports.notifications.enqueue([_again(found, webhook, ports.clock.now())])


def replay_range(webhook: Webhook, wanted: Range, ports: ReplayPorts) -> Replayed:
    """Queue the calls of a time again, oldest first, each once, at most 500 of them.

    With `only_failed` those still being retried are among them: such a call may then come twice,
    with the same uuid. Calls kept only in part are passed over. Raises HandOverError, some being
    queued by then.
    """
    read = ports.history.since(webhook.server, webhook.id, wanted.start, limit=MAX_READ)
    calls = [call for call in _calls(read) if _is_wanted(call, wanted)]
    chosen = calls[:MAX_REPLAYED]
    now = ports.clock.now()
    ports.notifications.enqueue([_again(call.newest, webhook, now) for call in chosen])
    rest = [call.first_at for call in calls[MAX_REPLAYED:]][:1]
    if not rest and len(read) == MAX_READ and read[-1].at <= wanted.end:
        rest = [read[-1].at]
    # Always forward, even if more calls than that were made within a millisecond.
    return Replayed(len(chosen), max(rest[0], wanted.start + 0.001) if rest else None)


@dataclass(slots=True)
class _Call:
    """All tries of one call that were read."""

    first_at: float
    newest: Try
    is_delivered: bool = False


def _calls(tries: Iterable[Try]) -> Iterable[_Call]:
    calls: dict[str, _Call] = {}
    for each in tries:
        call = calls.setdefault(each.made.uuid, _Call(each.at, each))
        call.newest = each
        call.is_delivered |= each.answer.ok
    return calls.values()


def _is_wanted(call: _Call, wanted: Range) -> bool:
    if call.first_at > wanted.end or not call.newest.is_whole:
        return False
    return not (wanted.only_failed and call.is_delivered)


def _again(found: Try, webhook: Webhook, now: float) -> Notification:
    return Notification(
        uuid=found.made.uuid,
        server=webhook.server,
        webhook=webhook.id,
        url=webhook.url,
        event=found.made.event,
        body=found.made.body,
        attempt=0,
        first_at=now,
        sign=webhook.sign,
        replay=True,
    )
