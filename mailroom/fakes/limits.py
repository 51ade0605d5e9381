"""The SendLimits port in memory, held to the adapter's contract."""

from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Reservation, Ring, Slice, reserve


class MemoryLimits:
    """Rings by server; `trouble` holds what the next calls raise, `asked` counts them.

    `late` raises after the change was made, as when only the answer is lost.
    """

    def __init__(self) -> None:
        self.rings: dict[ServerId, Ring] = {}
        self.trouble: list[Exception] = []
        self.late = False
        self.asked = 0

    def reserve(
        self, server: ServerId, limit: int, minute: int, leftover: Slice | None = None
    ) -> Reservation:
        """See SendLimits.reserve."""
        self.asked += 1
        if self.trouble and not self.late:
            raise self.trouble.pop(0)
        reservation = reserve(
            self.rings.get(server, Ring()), limit=limit, minute=minute, leftover=leftover
        )
        self.rings[server] = reservation.ring
        if self.trouble:
            raise self.trouble.pop(0)
        return reservation
