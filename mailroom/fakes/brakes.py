"""The ports of brakes in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mailroom.domain.brake import Brake
from mailroom.domain.message import ServerId


@dataclass(slots=True)
class MemoryBrakes:
    """The Brakes port; `lost` makes the next swaps fail, as when another process was first."""

    brakes: dict[ServerId, tuple[Brake, int]] = field(default_factory=dict)
    lost: int = 0

    def read(self, server: ServerId) -> tuple[Brake, int]:
        """See Brakes.read."""
        return self.brakes.get(server, (Brake(), 0))

    def swap(self, server: ServerId, brake: Brake, version: int) -> bool:
        """See Brakes.swap."""
        if self.lost:
            self.lost -= 1
            return False
        if self.read(server)[1] != version:
            return False
        if brake.is_untouched:
            self.brakes.pop(server, None)
        else:
            self.brakes[server] = brake, version + 1
        return True

    def touched(self, *, limit: int) -> Sequence[ServerId]:
        """See Brakes.touched."""
        return sorted(self.brakes)[:limit]


@dataclass(slots=True)
class MemoryBrakeFlags:
    """The BrakeFlags port; `broken` makes it fail."""

    reasons: dict[ServerId, str] = field(default_factory=dict)
    broken: bool = False

    def apply(self, server: ServerId, reason: str | None) -> None:
        """See BrakeFlags.apply. Raises ConnectionError while `broken`."""
        if self.broken:
            raise ConnectionError("no table")
        if reason is None:
            self.reasons.pop(server, None)
        else:
            self.reasons[server] = reason
