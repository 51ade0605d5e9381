"""What clients may do before they are told to stop, and how their shares are counted."""

from collections import Counter
from dataclasses import dataclass

from egress.core.smtp_client import client_of

KILOBYTE = 1024
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of the server. Sizes are octets, times seconds."""

    body: int  # the longest body of one request
    in_memory: int = 256 * KILOBYTE  # a longer body goes into a file
    held: int = 1024 * MEGABYTE  # all bodies together, until they are answered
    held_per_client: int = 256 * MEGABYTE
    requests: int = 100  # at once, from the end of the header to the answer
    connections: int = 1_000
    connections_per_client: int = 50
    request_line: int = 8 * KILOBYTE
    header_field: int = 16 * KILOBYTE
    header_fields: int = 100
    handshake_time: float = 30.0
    # From the connection, or the last answer, to a whole header. Load balancers keep a connection
    # for 60 seconds; whoever waits less than they do answers some of their requests with a reset.
    idle_time: float = 75.0
    body_pause: float = 30.0  # between two pieces of a body
    body_time: float = 600.0  # for a whole body, however slowly it drips
    answer_time: float = 600.0  # for a client to take its answer
    linger_time: float = 5.0  # for a refused body to end, so that its sender reads the refusal
    retry_after: int = 5  # seconds, as 503 tells


class Shares:
    """How much of one limited thing is taken, in all and by client.

    A client is an IPv4 address or an IPv6 /64; "" is nobody in particular and has no share.
    """

    def __init__(self, limit: int, per_client: int) -> None:
        self._limit = limit
        self._per_client = per_client
        self._by_client: Counter[str] = Counter()
        self._taken = 0

    def take(self, address: str, count: int = 1) -> bool:
        """Take `count` and return True, or return False and take none."""
        client = client_of(address) if address else ""
        if self._taken + count > self._limit:
            return False
        if client and self._by_client[client] + count > self._per_client:
            self._forget(client)
            return False
        self._taken += count
        self._by_client[client] += count
        return True

    def give_back(self, address: str, count: int = 1) -> None:
        """Give back what `take` took."""
        client = client_of(address) if address else ""
        self._taken -= count
        self._by_client[client] -= count
        self._forget(client)

    @property
    def taken(self) -> int:
        """How much is taken."""
        return self._taken

    def _forget(self, client: str) -> None:
        if not self._by_client[client]:
            del self._by_client[client]
