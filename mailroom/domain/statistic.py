"""What is counted of an event, and where: by server, domain, tag, recipient provider, stream."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mailroom.domain.event import Event, EventType
from mailroom.domain.message import METADATA_DAYS, ServerId
from mailroom.domain.visit import is_person

HOUR = 3_600
DAY = 86_400
HOURS_A_DAY = 24
MAX_VALUES = 200  # values of one dimension that a server has to itself in a day
MAX_VALUE = 64  # characters of a value that are kept
REST = "(other)"  # where everything after the first `MAX_VALUES` values of a day counts


class Dimension(StrEnum):
    """What statistics are split by. Values are stored; never rename them."""

    SERVER = "server"  # all of it; its value is empty
    DOMAIN = "domain"
    TAG = "tag"
    PROVIDER = "provider"  # of the recipient (`provider.py`)
    STREAM = "stream"


# Dimensions whose values senders make up, so that there has to be an end to them.
OPEN_ENDED = frozenset({Dimension.DOMAIN, Dimension.TAG, Dimension.STREAM})

# Every counter there is, in the order people read them. `sent` is what the API calls delivered.
NAMES = (
    "accepted",
    "submissions",
    "sent",
    "deferred",
    "bounced",
    "bounced_hard",
    "bounced_soft",
    "bounced_block",
    "expired",
    "uncertain",
    "uncertain_final",
    "suppressed",
    "scheduled",
    "retried",
    "held",
    "released",
    "cancelled",
    "complained",
    "opened",
    "opened_unique",
    "opened_human",
    "opened_human_unique",
    "clicked",
    "clicked_unique",
    "clicked_human",
    "clicked_human_unique",
)

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FirstView:
    """Whether an open or click is its delivery's first of that type: of all, and by a person."""

    hit: bool = False
    human: bool = False


@dataclass(frozen=True, slots=True)
class Mailing:
    """What statistics need of the message behind an event.

    `providers` says how many recipients are with each provider: of the whole submission for an
    acceptance, of its one recipient for everything else. A message counts for each of its tags.
    `days` is how long what is known of it is kept; a `test` never left us.
    """

    domain: str = ""
    tags: tuple[str, ...] = ()
    stream: str = ""
    providers: Mapping[str, int] = field(default_factory=dict)
    days: int = METADATA_DAYS
    test: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """Where counts are kept: one value of one dimension of one server."""

    server: ServerId
    dimension: Dimension = Dimension.SERVER
    value: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts to add to a slot in one hour (Unix hours)."""

    slot: Slot
    hour: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Recorded:
    """A new event, what it is the first of if it is an open or click, and its message."""

    event: Event
    first: FirstView = FirstView()  # frozen
    mailing: Mailing | None = None


def counter_names(event: Event, first: FirstView) -> Iterator[str]:
    """Yield the counters an event adds one to; an open or click up to four."""
    if event.type is EventType.DELAYED:
        # A deferral that was also a notice, or a notice alone, which is no attempt.
        if event.attempt is not None and event.attempt.phase:
            yield str(EventType.DEFERRED)
        return
    yield str(event.type)
    if event.attempt is not None:
        if event.type is EventType.BOUNCED and event.attempt.bounce:
            yield f"bounced_{event.attempt.bounce}"
        if event.type is EventType.UNCERTAIN and event.attempt.final:
            yield "uncertain_final"
    if event.view is None:
        return
    if first.hit:
        yield f"{event.type}_unique"
    if is_person(event.view):
        yield f"{event.type}_human"
    if first.human:
        yield f"{event.type}_human_unique"


def tallies(recorded: Iterable[Recorded]) -> list[Tally]:
    """Return what new events add up to, one tally for each slot and hour among them."""
    return merged(
        Tally(slot, int(each.event.at // HOUR), counts)
        for each in recorded
        for slot, counts in _shares(each)
    )


def merged(found: Iterable[Tally]) -> list[Tally]:
    """Return the same counts with one tally for each slot and hour."""
    sums: dict[tuple[Slot, int], Counter[str]] = {}
    for tally in found:
        sums.setdefault((tally.slot, tally.hour), Counter()).update(tally.counts)
    return [Tally(slot, hour, dict(counts)) for (slot, hour), counts in sums.items()]


def _shares(each: Recorded) -> Iterator[tuple[Slot, Counts]]:
    """Yield what one event adds to each slot it belongs to.

    Without its message, which may be past its retention when a reader comes back to it, an event
    counts for the server alone.
    """
    server, mailing = each.event.key.server, each.mailing or Mailing()
    counts = _counts(each, sum(mailing.providers.values()))
    yield Slot(server), counts
    values = [(Dimension.DOMAIN, mailing.domain), (Dimension.STREAM, mailing.stream)]
    for dimension, value in [*values, *((Dimension.TAG, tag) for tag in mailing.tags)]:
        if value:
            yield Slot(server, dimension, shortened(value)), counts
    for provider, recipients in mailing.providers.items():
        yield Slot(server, Dimension.PROVIDER, provider), _counts(each, recipients)


def _counts(each: Recorded, recipients: int) -> Counts:
    """Count an acceptance once for each recipient, as every later event is of one recipient."""
    if each.event.type is EventType.ACCEPTED:
        return {"accepted": max(1, recipients), "submissions": 1}
    return dict.fromkeys(counter_names(each.event, each.first), 1)


def shortened(value: str) -> str:
    """Return a dimension's value as it is kept: its first `MAX_VALUE` characters."""
    return value[:MAX_VALUE]


def summed(rows: Iterable[Counts]) -> dict[str, int]:
    """Return the sum of several counts."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return dict(total)
