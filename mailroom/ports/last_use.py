"""When a key or credential was last used, kept without a write for each use."""

from collections.abc import Mapping, Sequence
from typing import Protocol

EVERY_SECONDS = 3_600.0


class LastUse(Protocol):
    """Approximate by an hour, and a decoration: nothing fails because it could not be kept."""

    def used(self, id_: str, now: float) -> None:
        """Note that the key or credential was used at `now` (Unix seconds).

        Writes at most once an hour for each id in a process. Raises nothing.
        """

    def last(self, ids: Sequence[str]) -> Mapping[str, float]:
        """Return when those of at most 100 ids that were ever used last were."""
