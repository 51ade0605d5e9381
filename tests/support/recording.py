"""The recorder's world in memory."""

from dataclasses import dataclass, field

from mailroom.domain.message import ServerId
from mailroom.domain.statistic import Counts, Slot
from mailroom.fakes.memory import FixedClock, MemoryLedger
from mailroom.fakes.notifying import MemoryFirstViews
from mailroom.fakes.statistics import MemoryMailings, MemoryStatistics, MemoryWatchlist
from mailroom.ports.statistics import Grain
from mailroom.usecases.record import RecordPorts


@dataclass
class Recording:
    """Fakes, and the ports made of them; a fake may be replaced by a broken one."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    views: MemoryFirstViews = field(default_factory=MemoryFirstViews)
    statistics: MemoryStatistics = field(default_factory=MemoryStatistics)
    watchlist: MemoryWatchlist = field(default_factory=MemoryWatchlist)
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.mailings = MemoryMailings(self.ledger)

    @property
    def ports(self) -> RecordPorts:
        return RecordPorts(
            self.ledger, self.views, self.mailings, self.statistics, self.watchlist, self.clock
        )

    def hour(self, server: ServerId, hour: int) -> Counts:
        """Return what was counted for a server in one hour."""
        return self.statistics.read(Slot(server), Grain.HOUR, hour, hour).counts.get(hour, {})
