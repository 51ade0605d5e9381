"""Keys and lists as last read; a table that cannot be read does not stop the redirects."""

from collections.abc import Callable

from mailroom.ports import Clock
from mailroom.usecases.track import Trust

_RETRY_SECONDS = 10.0


class KeptTrust:
    """Asks `read` (which keeps its answer for 60 seconds), and the last answer in trouble.

    `troubles` are the exceptions of a table or key service that is out of reach. Before the
    first answer they go to the caller.
    """

    def __init__(
        self, read: Callable[[], Trust], clock: Clock, troubles: tuple[type[Exception], ...]
    ) -> None:
        self._read = read
        self._clock = clock
        self._troubles = troubles
        self._last: Trust | None = None
        self._not_before = 0.0

    def __call__(self) -> Trust:
        """Return what to judge tokens by."""
        now = self._clock.now()
        if self._last is not None and now < self._not_before:
            return self._last
        try:
            self._last = self._read()
        except self._troubles:
            if self._last is None:
                raise
            self._not_before = now + _RETRY_SECONDS  # or each redirect would wait for a time-out
        return self._last
