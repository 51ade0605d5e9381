"""What all sessions share and none may use up: connections and memory."""

from collections import Counter

from egress.core.smtp_client import client_of
from egress.core.smtp_limits import Limits


class Admission:
    """Counts open connections, in all and by client."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_client: Counter[str] = Counter()
        self._total = 0

    def enter(self, address: str) -> bool:
        """Count a connection in and return True, or return False when it is one too many."""
        client = client_of(address)
        if (
            self._total >= self._limits.connections
            or self._by_client[client] >= self._limits.connections_per_client
        ):
            return False
        self._total += 1
        self._by_client[client] += 1
        return True

    def leave(self, address: str) -> None:
        """Count a connection out that `enter` let in."""
        client = client_of(address)
        self._total -= 1
        self._by_client[client] -= 1
        if not self._by_client[client]:
            del self._by_client[client]


class HeldOctets:
    """The memory that messages on their way in may take together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def reserve(self, count: int) -> bool:
        """Take `count` octets and return True, or return False and take none."""
        if self._held + count > self._limit:
            return False
        self._held += count
        return True

    def release(self, count: int) -> None:
        """Give back what `reserve` took."""
        self._held -= count

    @property
    def held(self) -> int:
        """How many octets are taken."""
        return self._held
