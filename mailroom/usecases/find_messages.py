"""Find messages: what an index answers by a page of it, everything else by a bounded look.

Status, sender, subject and text are in no index: an index of a status would be written again with
every change of it. Such a search looks at the newest messages one by one, at MAX_LOOKED at most,
and says how far back that was.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from mailroom.domain.message_filter import MessageFilter, matches
from mailroom.domain.search_keys import DAY_SECONDS
from mailroom.domain.stored_message import Place, StoredMessage, dump_cursor, load_cursor
from mailroom.errors import InvalidRequestError
from mailroom.ports import Clock
from mailroom.ports.search import MAX_SLICE, By, Search, Slice, Span, Where

MAX_LOOKED = 10_000  # messages of one search, all its pages together
MAX_LOOKED_AT_ONCE = 2_000  # of one page: a caller should not wait longer
MAX_PAGE = 100
LOOK_BACK_SECONDS = 62.0 * DAY_SECONDS  # without a beginning of the range: what Postal keeps
MAX_RANGE_SECONDS = 400.0 * DAY_SECONDS
WAITING = frozenset({State.SCHEDULED, State.QUEUED, State.ATTEMPTING, State.DEFERRED})
HELD = frozenset({State.HELD})

_AHEAD = 60.0  # seconds: clocks of those who accept may be a little ahead of ours
_CALLS = 40  # of the store for one page, however little each of them gives


class BadCursorError(InvalidRequestError):
    """The cursor is not one that a page gave."""

    code = "bad_cursor"


@dataclass(frozen=True, slots=True)
class FindPorts:
    """The world of `find_messages`."""

    search: Search
    clock: Clock


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to find. `since` (included) and `until` (not) are Unix seconds; None leaves it open."""

    server: ServerId
    filter: MessageFilter = field(default_factory=MessageFilter)
    since: float | None = None
    until: float | None = None
    limit: int = 25
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class MessagePage:
    """Part of what was found, newest first.

    `cursor` is where it goes on, "" if nothing follows or no more may be looked at.
    `looked_at` counts the messages looked at for this page and those before it.
    `looked_back_to` (Unix seconds): every message accepted since then was. To find earlier ones
    when `is_complete` is False and there is no cursor, ask again with it as `until`.
    """

    messages: tuple[StoredMessage, ...]
    cursor: str
    looked_at: int
    looked_back_to: float
    is_complete: bool
    units: float = 0.0


@dataclass(slots=True)
class _Walk:
    """How far a page has come."""

    found: list[StoredMessage]
    place: Place | None
    looked: int
    units: float = 0.0
    has_ended: bool = False


def find_messages(wanted: Wanted, ports: FindPorts) -> MessagePage:
    """Return a page of the messages that are all that `wanted` asks for.

    Raises BadCursorError, and InvalidRequestError for a range that is not one.
    """
    span = span_of(wanted, ports.clock.now())
    place, before = _read_cursor(wanted.cursor)
    limit = min(max(wanted.limit, 1), MAX_PAGE)
    walk = _Walk([], place, looked=0)
    most = min(MAX_LOOKED_AT_ONCE, MAX_LOOKED - before) if wanted.filter.reads_rows else MAX_LOOKED
    size = limit
    for _ in range(_CALLS):
        room = min(size, most - walk.looked)
        if walk.has_ended or len(walk.found) >= limit or room <= 0:
            break
        part = ports.search.newest(where_of(wanted), span, after=walk.place, limit=room)
        _take(walk, part, lambda message: matches(wanted.filter, message), limit)
        # Who finds little in a small slice will find little in many of them.
        size = min(MAX_SLICE, size * 2) if wanted.filter.reads_rows else limit - len(walk.found)
    return _page(wanted, walk, before + walk.looked, span)


def where_of(wanted: Wanted) -> Where:
    """Return the index that names the fewest messages."""
    asked = wanted.filter
    if asked.message_id:
        return Where(wanted.server, By.MESSAGE_ID, asked.message_id)
    if asked.recipient:
        return Where(wanted.server, By.RECIPIENT, asked.recipient)
    if asked.tag:
        return Where(wanted.server, By.TAG, asked.tag)
    return Where(wanted.server)


def span_of(wanted: Wanted, now: float) -> Span:
    """Return the range of acceptance to look at. Raises InvalidRequestError.

    One recipient or Message-ID is looked for in all there is; a range of days, each of which has
    its own part of the index, has an end.
    """
    until = now + _AHEAD if wanted.until is None else min(wanted.until, now + _AHEAD)
    by_day = where_of(wanted).by in (By.TIME, By.TAG)
    since = wanted.since
    if since is None:
        since = max(0.0, until - LOOK_BACK_SECONDS) if by_day else 0.0
    if wanted.until is not None and since > wanted.until:
        raise InvalidRequestError("the range ends before it begins")
    if by_day and until - since > MAX_RANGE_SECONDS:
        raise InvalidRequestError(f"a range has {MAX_RANGE_SECONDS / DAY_SECONDS:.0f} days at most")
    return Span(since, until)


def _take(walk: _Walk, part: Slice, fits: Callable[[StoredMessage], bool], limit: int) -> None:
    """Add what fits of a slice, up to `limit`, and go on behind the last message looked at."""
    walk.units += part.units
    last = len(part.messages) - 1
    for at, message in enumerate(part.messages):
        if fits(message):
            walk.found.append(message)
        if len(walk.found) == limit and at < last:
            walk.place, walk.looked = message.place, walk.looked + at + 1
            return
    walk.looked += part.looked
    walk.place, walk.has_ended = part.place, part.place is None


def _page(wanted: Wanted, walk: _Walk, looked: int, span: Span) -> MessagePage:
    back_to, cursor = span.since, ""
    if not walk.has_ended and walk.place is not None:
        back_to = min(span.until, max(span.since, (walk.place.at_ms + 1) / 1000))
        if looked < MAX_LOOKED or not wanted.filter.reads_rows:
            counted = looked if wanted.filter.reads_rows else 0
            cursor = dump_cursor(walk.place, counted)
    elif not walk.has_ended:
        back_to = span.until
    return MessagePage(tuple(walk.found), cursor, looked, back_to, walk.has_ended, units=walk.units)


def _read_cursor(cursor: str) -> tuple[Place | None, int]:
    if not cursor:
        return None, 0
    try:
        return load_cursor(cursor)
    except ValueError as error:
        raise BadCursorError(str(error)) from error


def in_states(wanted: Wanted, states: frozenset[State]) -> Wanted:
    """Return `wanted` narrowed to messages in one of `states`."""
    kept = wanted.filter.states & states if wanted.filter.states else states
    return replace(wanted, filter=replace(wanted.filter, states=kept))
