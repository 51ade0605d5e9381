"""How brakes of servers stand, and telling the sending path of those that hold."""

from collections.abc import Sequence
from typing import Protocol

from mailroom.domain.brake import Brake
from mailroom.domain.message import ServerId


class Brakes(Protocol):
    """The brakes of all servers; most have never been touched."""

    def read(self, server: ServerId) -> tuple[Brake, int]:
        """Return a server's brake and its version: an untouched one and 0 if it has none."""

    def swap(self, server: ServerId, brake: Brake, version: int) -> bool:
        """Replace the brake if it still has `version`; False, changing nothing, if not."""

    def touched(self, *, limit: int) -> Sequence[ServerId]:
        """Return up to `limit` servers whose brake warns, holds, is lifted or is not told yet."""


class BrakeFlags(Protocol):
    """What the sending path reads: why a server's new mail is held."""

    def apply(self, server: ServerId, reason: str | None) -> None:
        """Hold the server's new mail for a reason, or, with None, no longer.

        Seen by all senders within 60 seconds. Doing it twice changes nothing.
        """
