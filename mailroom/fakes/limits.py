"""The SendLimits port in memory, held to the adapter's contract."""

from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Limits, Reservation, Slice, Times, Usage, reserve


class MemoryLimits:
    """Usage by server; `trouble` holds what the next calls raise, `asked` counts them.

    `late` raises after the change was made, as when only the answer is lost.
    """

    def __init__(self) -> None:
        self.usages: dict[ServerId, Usage] = {}
        self.trouble: list[Exception] = []
        self.late = False
        self.asked = 0

    def reserve(
        self,
        server: ServerId,
        limits: Limits,
        at: Times,
        leftover: Slice | None = None,
        wanted: int | None = None,
    ) -> Reservation:
        """See SendLimits.reserve."""
        self.asked += 1
        if self.trouble and not self.late:
            raise self.trouble.pop(0)
        known = self.usages.get(server, Usage())
        reservation = reserve(known, limits=limits, at=at, leftover=leftover, wanted=wanted)
        self.usages[server] = reservation.usage
        if self.trouble:
            raise self.trouble.pop(0)
        return reservation

    def usage(self, server: ServerId) -> Usage:
        """See SendLimits.usage."""
        return self.usages.get(server, Usage())
