"""What one process may still send from an address to a group of providers: its part of the caps.

It never waits: what it lacks is booked by whoever runs it, and what it says meanwhile is when to
ask again. A part is of one hour and ends with it. What is under way when an hour or a day ends
counts in the next one too, because it may be accepted there; but not in the one after that, so
that an end nobody heard of costs no more than an hour.
"""

from mailroom.domain.warmup.booking import Booking, Granted, Wish
from mailroom.domain.warmup.plan import slice_size
from mailroom.domain.warmup.progress import HOUR, utc_day

REFILL_SECONDS = 0.25  # so long a booking takes, about


class Allowance:
    """The part of one process. Times are Unix seconds. Asked for every message: plain numbers."""

    __slots__ = (
        *("_booked", "_carried", "_day", "_flying", "_hour", "_slice", "_until"),
        *("_hour_tries", "_hour_units", "_tries", "_units"),
    )

    def __init__(self) -> None:
        self._day = self._hour = -1
        self._booked = Booking()
        self._units = self._tries = 0  # used in this day
        self._hour_units = self._hour_tries = 0  # and in this hour
        self._flying = 0  # of those that began in this hour
        self._carried = 0  # of those that began in the one before
        self._slice = 1
        self._until = 0.0

    @property
    def in_flight(self) -> int:
        """How many messages are under way."""
        return self._flying + self._carried

    @property
    def booking(self) -> Booking:
        """What this process has booked, as it knows."""
        return self._booked

    def earliest(self, now: float) -> float:
        """Return when the next message may go: `now`, or when to ask again."""
        self._roll(now)
        if self._units_left() > 0 and self._tries_left() > 0:
            return now
        return self._until if self._until > now else now + REFILL_SECONDS

    def take(self, now: float) -> bool:
        """Count a message that is about to go out; False, and nothing is counted, if none may."""
        self._roll(now)
        if self._units_left() <= 0 or self._tries_left() <= 0:
            return False
        self._units += 1
        self._hour_units += 1
        self._tries += 1
        self._hour_tries += 1
        self._flying += 1
        return True

    def accepted(self, now: float) -> None:
        """Note that a message which was under way was accepted, or may have been."""
        self._roll(now)
        self._landed()

    def refused(self, now: float) -> None:
        """Note that one was not accepted: another may go instead. The attempt stays counted."""
        self._roll(now)
        if self._landed():
            self._units -= 1
            self._hour_units -= 1

    def wish(self, now: float) -> Wish | None:
        """Return what to book now so that nobody has to wait; None if there is enough or no more.

        What is in hand after a booking is one slice at most.
        """
        self._roll(now)
        if self._until > now:
            return None
        units, tries = self._units_left(), self._tries_left()
        most_tries = -(-self._slice * 13 // 10)
        if units * 2 > self._slice and tries * 2 > most_tries:
            return None
        return Wish(max(0, self._slice - units), max(0, most_tries - tries))

    def granted(self, granted: Granted, cap: int) -> None:
        """Take over what was booked; `cap` is the day's cap, which decides about the next slice.

        What was booked for an hour that is over meanwhile is worth nothing.
        """
        self._slice = slice_size(cap)
        if granted.booking.hour == self._booked.hour:
            self._booked = granted.booking
            self._until = granted.until

    def give_back(self, now: float) -> Booking | None:
        """Give up what is not used; return the totals that are left to write, None if none are."""
        self._roll(now)
        booked = self._booked
        least = Booking(
            min(booked.units, self._units),
            min(booked.tries, self._tries),
            booked.hour,
            min(booked.hour_units, self._hour_units),
            min(booked.hour_tries, self._hour_tries),
        )
        if least == booked:
            return None
        self._booked = least
        return least

    def _landed(self) -> bool:
        if self._carried:
            self._carried -= 1
        elif self._flying:
            self._flying -= 1
        else:
            return False
        return True

    def _units_left(self) -> int:
        booked = self._booked
        return min(booked.units - self._units, booked.hour_units - self._hour_units)

    def _tries_left(self) -> int:
        booked = self._booked
        return min(booked.tries - self._tries, booked.hour_tries - self._hour_tries)

    def _roll(self, now: float) -> None:
        hour = int(now // HOUR)
        if hour == self._hour:
            return
        flying = self._flying if hour == self._hour + 1 else 0
        day, booked = utc_day(now), self._booked
        if day == self._day:
            # Booked is only what the row has: what is under way has to be booked for this hour.
            self._booked = Booking(
                min(booked.units, self._units), min(booked.tries, self._tries), hour
            )
        else:
            self._booked = Booking(hour=hour)
            self._units, self._tries = flying, 0
        self._carried, self._flying = flying, 0
        self._hour_units, self._hour_tries = flying, 0
        self._day, self._hour, self._until = day, hour, 0.0
