"""A control table that does not always answer, and sometimes does what it was asked unheard."""

from collections.abc import Callable

from mailroom.domain.tenancy.record import Place, Record, RecordPage
from mailroom.ports.control import Control


class OutOfReachError(Exception):
    """The table did not answer."""


class FlakyControl:
    """The Control port over another one. `before` and `after` say whether a call fails then."""

    def __init__(
        self,
        inner: Control,
        *,
        before: Callable[[], bool] = lambda: False,
        after: Callable[[], bool] = lambda: False,
    ) -> None:
        self._inner = inner
        self.before = before
        self.after = after
        self.calls = 0

    def _ask(self) -> None:
        self.calls += 1
        if self.before():
            raise OutOfReachError

    def _answer(self) -> None:
        if self.after():
            raise OutOfReachError

    def read(self, place: Place) -> Record | None:
        self._ask()
        return self._inner.read(place)

    def page(
        self, partition: str, prefix: str = "", *, limit: int = 1_000, after: str = ""
    ) -> RecordPage:
        self._ask()
        return self._inner.page(partition, prefix, limit=limit, after=after)

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        self._ask()
        written = self._inner.put(record, expected)
        self._answer()
        return written

    def delete(self, place: Place, expected: int | None = None) -> bool:
        self._ask()
        gone = self._inner.delete(place, expected)
        self._answer()
        return gone

    def add(
        self, place: Place, amount: float, *, ceiling: float | None, expires_at: float
    ) -> float | None:
        self._ask()
        value = self._inner.add(place, amount, ceiling=ceiling, expires_at=expires_at)
        self._answer()
        return value

    def counter(self, place: Place) -> float:
        self._ask()
        return self._inner.counter(place)
