"""Messages of a server: found, read, and what a person may do with those that wait."""

from collections.abc import Callable
from functools import partial

from mail_api.v2.crud import read_cursor, write_cursor
from mail_api.v2.models.base import Listing
from mail_api.v2.models.messages import (
    Bulk,
    BulkStarted,
    EventPage,
    Exact,
    MessageDetail,
    MessageListing,
    MessagePage,
    Moved,
    Reschedule,
    WaitingListing,
    Words,
    states_of,
)
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources import message_files
from mail_api.v2.resources.message_calls import (
    by,
    detail_of,
    hold_ports,
    refusals,
    server_of,
)
from mail_api.v2.resources.message_views import detailed, history, listed, moved
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, DeliveryKey
from mailroom.domain.message_filter import MessageFilter
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.identity import new_id
from mailroom.domain.token import message_token
from mailroom.ports.search import Search
from mailroom.usecases.bulk import bulk_target, count_bulk, new_bulk_job
from mailroom.usecases.cancel import cancel
from mailroom.usecases.find_messages import HELD, WAITING, FindPorts, Wanted, find_messages
from mailroom.usecases.jobs import JobPorts, start
from mailroom.usecases.release import HoldPorts, release
from mailroom.usecases.reschedule import reschedule
from mailroom.usecases.retry import retry

_Act = Callable[[DeliveryKey, str, HoldPorts], Delivery]


def list_messages(call: Call) -> MessagePage:
    """Find messages, newest first.

    Recipient, Message-ID, tag and time are answered by indexes. Status, sender, subject, text and
    stream are looked for in the messages that the others leave, newest first and 10,000 at most;
    the answer says how far back that was.
    """
    return _page(call, states_of(call.query.status))


def list_queue(call: Call) -> MessagePage:
    """Find messages that are scheduled, queued, deferred or being sent, newest first."""
    return _page(call, WAITING)


def list_held(call: Call) -> MessagePage:
    """Find messages that are held, newest first."""
    return _page(call, HELD)


def read_message(call: Call) -> MessageDetail:
    """Read a message with how it stands and what happened to it."""
    detail = detail_of(call, with_events=True)
    return detailed(detail, message_token(detail.key, call.desk.api().token_secret()))


def list_events(call: Call) -> EventPage:
    """Read the history of a message, oldest first: attempts, decisions, opens and clicks."""
    events = history(detail_of(call, with_events=True))
    start_at = _offset(read_cursor(call.query.cursor))
    end = start_at + call.query.limit
    cursor = write_cursor(str(end)) if end < len(events) else None
    return EventPage(data=list(events[start_at:end]), next_cursor=cursor)


def act_on(act: _Act, call: Call) -> Moved:
    """Do something to the message of the path."""
    key = detail_of(call).key
    with refusals():
        return moved(act(key, by(call), hold_ports(call)))


def move(call: Call) -> Moved:
    """Send a scheduled message at another time; one within the next minute means now."""
    key = detail_of(call).key
    with refusals():
        return moved(reschedule(key, call.body.send_at, by(call), hold_ports(call)))


def bulk(call: Call) -> Answer:
    """Do one action to all messages that a filter finds, as a job; or only count them.

    The count looks at 10,000 messages at most and says how far back that was. The job goes on to
    the beginning of the range, leaves alone what is accepted after it was asked for, and counts
    what refused the action as failed.
    """
    asked, now = call.body, call.desk.registrar.clock.now()
    wanted = Wanted(
        server_of(call),
        _filter(asked.filter, asked.filter, states_of(asked.filter.status)),
        since=asked.filter.from_time,
        until=asked.filter.to_time,
    )
    with refusals():
        target = bulk_target(asked.action, wanted, now)
        if asked.dry_run:
            count = count_bulk(target, _search(call))
            return Answer(BulkStarted(dry_run=True, job=None,
                                      matching=count.matching, looked_at=count.looked_at,
                                      looked_back_to=count.looked_back_to,
                                      is_complete=count.is_complete))  # fmt: skip
        ports: JobPorts = call.desk.area("jobs")
        registrar = call.desk.registrar
        id_ = new_id("job", now=now, chance=registrar.chance, environment=registrar.environment)
        job = start(new_bulk_job(asked.action, target, by(call)), id_, ports)
    return Answer(BulkStarted(dry_run=False, job=job.id))


def _page(call: Call, states: frozenset[State]) -> MessagePage:
    query = call.query
    wanted = Wanted(
        server_of(call),
        _filter(query, query, states),
        since=query.from_time,
        until=query.to_time,
        limit=query.limit,
        cursor=query.cursor,
    )
    with refusals():
        found = find_messages(wanted, FindPorts(_search(call), call.desk.registrar.clock))
    return MessagePage(
        data=[listed(each) for each in found.messages],
        next_cursor=found.cursor or None,
        looked_at=found.looked_at,
        looked_back_to=found.looked_back_to,
        is_complete=found.is_complete,
    )


def _filter(exact: Exact, words: Words, states: frozenset[State]) -> MessageFilter:
    return MessageFilter(
        recipient=exact.recipient.strip(),
        message_id=exact.message_id.strip(),
        tag=exact.tag,
        states=states,
        sender=words.sender,
        subject=words.subject,
        text=words.text,
        stream=words.stream,
    )


def _search(call: Call) -> Search:
    search: Search = call.desk.area("search")
    return search


def _offset(cursor: str) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):
        raise invalid("query.cursor", "is not one that a page gave", "bad_cursor")
    return int(cursor)


def _action(name: str, summary: str, act: _Act, about: str) -> Operation:
    return Operation(f"messages.{name}", "POST", f"{_ONE}/{name}", summary, partial(act_on, act),
                     Scope.MESSAGES_WRITE, answer=Moved, description=about)  # fmt: skip


_ALL = "/servers/{server}/messages"
_ONE = f"{_ALL}/{{message}}"

OPERATIONS = (
    Operation("messages.list", "GET", _ALL, "Find messages", list_messages, Scope.MESSAGES_READ,
              answer=MessagePage, query=MessageListing),
    Operation("messages.queue", "GET", "/servers/{server}/queue", "List what waits to be sent",
              list_queue, Scope.MESSAGES_READ, answer=MessagePage, query=WaitingListing),
    Operation("messages.held", "GET", "/servers/{server}/held", "List what is held",
              list_held, Scope.MESSAGES_READ, answer=MessagePage, query=WaitingListing),
    Operation("messages.bulk", "POST", f"{_ALL}/bulk", "Do something to many messages", bulk,
              Scope.MESSAGES_WRITE, answer=BulkStarted, body=Bulk),
    Operation("messages.read", "GET", _ONE, "Read a message", read_message, Scope.MESSAGES_READ,
              answer=MessageDetail),
    Operation("messages.events", "GET", f"{_ONE}/events", "Read the history of a message",
              list_events, Scope.MESSAGES_READ, answer=EventPage, query=Listing),
    Operation("messages.reschedule", "PATCH", _ONE, "Send a scheduled message at another time",
              move, Scope.MESSAGES_WRITE, answer=Moved, body=Reschedule),
    _action("retry", "Try a message now", retry,
            "One that waits is tried at once. One that bounced, expired, was cancelled,"
            " suppressed or left uncertain is sent once more, from the beginning."),
    _action("release", "Release a held message", release,
            "It is queued and has its whole lifetime again."),
    _action("cancel", "Cancel a message that waits", cancel,
            "One that is being sent at this moment cannot be cancelled any more."),
    *message_files.OPERATIONS,
)  # fmt: skip
