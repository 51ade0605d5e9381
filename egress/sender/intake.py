"""The queues as the dispatcher sees them, and the entry that a delivery came with."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from egress.aws.lane import Received
from mailroom.domain.message import WakeUp
from mailroom.domain.sending.job import LaneClass


class Intake(Protocol):
    """A queue (egress.aws.lane fulfils it)."""

    def receive(self, most: int) -> Awaitable[Sequence[Received]]:
        """Wait for at most `most` entries."""

    def acknowledge(self, receipt: str) -> Awaitable[bool]:
        """Delete an entry."""

    def give_back(self, receipt: str) -> Awaitable[bool]:
        """Make an entry visible to others at once."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a delivery came with. One that came from the table has no entry to delete."""

    wake_up: WakeUp | None
    intake: Intake | None = None
    receipt: str = ""
    lane: LaneClass | None = None  # of the poller that counts it

    @classmethod
    def none(cls) -> Self:
        """Return the ticket of a delivery that came with nothing."""
        return cls(None)

    async def acknowledge(self) -> None:
        """Delete the entry: the table says what becomes of the delivery."""
        if self.intake is not None:
            await self.intake.acknowledge(self.receipt)

    async def give_back(self) -> None:
        """Let another process have the entry."""
        if self.intake is not None:
            await self.intake.give_back(self.receipt)
