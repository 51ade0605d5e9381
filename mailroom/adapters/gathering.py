"""Calls of many threads gathered into few: whoever comes while a call is under way joins the next.

No timer and no waiting for company: alone, a thread calls at once. The busier it gets, the more
each call carries, which is what AWS's batch calls are priced and slow by.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Seat:
    ask: Any
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    answer: Any = None
    trouble: Exception | None = None


class Gathering(Generic[A, R]):
    """Gives `call` up to `size` asks at once; it returns an answer for each, in order.

    An exception of `call` goes to all whose asks it was given.
    """

    def __init__(self, call: Callable[[Sequence[A]], Sequence[R]], *, size: int) -> None:
        self._call = call
        self._size = size
        self._lock = threading.Lock()
        self._waiting: list[_Seat] = []
        self._led = False

    def ask(self, ask: A) -> R:
        """Return the answer to `ask`; raises what the call it travelled in raised."""
        seat = _Seat(ask)
        with self._lock:
            self._waiting.append(seat)
            seat.leads, self._led = not self._led, True
        if not seat.leads:
            seat.turn.wait()  # until somebody answers it, or leaves the next call to it
        if seat.leads:
            self._lead()
        if seat.trouble is not None:
            raise seat.trouble
        answer: R = seat.answer
        return answer

    def _lead(self) -> None:
        """Make one call for those who wait, oneself first, and name who leads after it."""
        with self._lock:
            seats = self._waiting[: self._size]
            del self._waiting[: self._size]
        try:
            answers = self._call([seat.ask for seat in seats])
            for seat, answer in zip(seats, answers, strict=True):
                seat.answer = answer
        except Exception as trouble:  # noqa: BLE001  # each of them must hear of it
            for seat in seats:
                seat.trouble = trouble
        with self._lock:
            self._led = bool(self._waiting)
            following = self._waiting[0] if self._waiting else None
            if following is not None:
                following.leads = True
        for seat in seats[1:]:
            seat.turn.set()
        if following is not None:
            following.turn.set()
