"""What processes have booked of an address's day with a group of providers.

Each process writes its own totals, not what it adds to them: a write that was sent twice, or whose
answer was lost, is as good as one. All bookings of a day lie in one row, so that a reservation is
one conditional write for the day's and the hour's cap, for messages and attempts alike.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from mailroom.domain.warmup.progress import DAY, HOUR, Caps

_MOST_HOLDERS = 16  # in a row; the others' are added up
_REST = ""


@dataclass(frozen=True, slots=True)
class Booking:
    """The totals of one process: messages and attempts of the day, and of hour `hour`.

    `hour` counts from 1970. Messages are those accepted or under way, used or not yet.
    """

    units: int = 0
    tries: int = 0
    hour: int = -1
    hour_units: int = 0
    hour_tries: int = 0

    def more(self, units: int, tries: int) -> "Booking":
        """Return the totals with more of the same hour."""
        return Booking(
            self.units + units,
            self.tries + tries,
            self.hour,
            self.hour_units + units,
            self.hour_tries + tries,
        )

    def plus(self, other: "Booking") -> "Booking":
        """Return both together, of the later of their hours."""
        hour = max(self.hour, other.hour)
        ours, theirs = self.in_hour(hour), other.in_hour(hour)
        return Booking(
            ours.units + theirs.units,
            ours.tries + theirs.tries,
            hour,
            ours.hour_units + theirs.hour_units,
            ours.hour_tries + theirs.hour_tries,
        )

    def in_hour(self, hour: int) -> "Booking":
        """Return the totals as another hour sees them."""
        if self.hour == hour:
            return self
        return replace(self, hour=hour, hour_units=0, hour_tries=0)


@dataclass(frozen=True, slots=True)
class Wish:
    """How much more a process would like, beside what it has."""

    units: int
    tries: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What it has now. Where one of both is short, `until` is when to ask again (Unix seconds)."""

    booking: Booking
    until: float = 0.0


Book = Mapping[str, Booking]


def total(book: Book, hour: int) -> Booking:
    """Return what all have booked, as an hour sees it."""
    found = Booking(hour=hour)
    for each in book.values():
        found = found.plus(each.in_hour(hour))
    return found


def reserve(book: Book, holder: str, have: Booking, wish: Wish, caps: Caps) -> tuple[Book, Granted]:
    """Book for `holder`, who has `have` of its hour's day, as much of `wish` as the caps allow.

    What is already booked stays, even above a cap that was lowered meanwhile.
    """
    others = total({name: each for name, each in book.items() if name != holder}, have.hour)
    all_ = others.plus(have)
    units = min(wish.units, _left(caps.day, all_.units), _left(caps.hour, all_.hour_units))
    tries = min(
        wish.tries, _left(caps.day_tries, all_.tries), _left(caps.hour_tries, all_.hour_tries)
    )
    booking = have.more(units, tries)
    until = 0.0
    if units < wish.units or tries < wish.tries:
        day_full = all_.units >= caps.day or all_.tries >= caps.day_tries
        until = _next_day(have.hour) if day_full else (have.hour + 1.0) * HOUR
    return _folded({**book, holder: booking}, holder), Granted(booking, until)


def _left(cap: int, used: int) -> int:
    return max(0, cap - used)


def _next_day(hour: int) -> float:
    return float((hour * HOUR // DAY + 1) * DAY)


def _folded(book: Book, holder: str) -> Book:
    """Return the book with all but a few added up, so that a row stays small.

    Whoever comes back after that is counted twice: less goes out, never more.
    """
    if len(book) <= _MOST_HOLDERS:
        return book
    kept = {holder: book[holder]}
    rest = Booking()
    for name, each in book.items():
        rest = rest if name == holder else rest.plus(each)
    return {**kept, _REST: rest}


def dump_book(book: Book) -> dict[str, Any]:
    """Return a book as the body of its row."""
    return {"by": {holder: list(astuple(booking)) for holder, booking in book.items()}}


def load_book(body: Mapping[str, Any]) -> Book:
    """Read what `dump_book` wrote."""
    return {holder: Booking(*map(int, stored)) for holder, stored in body.get("by", {}).items()}
