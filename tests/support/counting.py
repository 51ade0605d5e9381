"""Counters, send limits and brakes in memory, as the management API has them."""

from mail_api.v2.resources.statistics import StatisticsArea

from mailroom.fakes.brakes import MemoryBrakeFlags, MemoryBrakes
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.memory import MemoryDirectory
from mailroom.fakes.server_facts import MemoryServerFacts
from mailroom.fakes.statistics import MemoryStatistics, MemoryWatchlist
from mailroom.usecases.brakes import BrakePorts


def memory_area() -> StatisticsArea:
    """Return an area in which nothing was counted yet."""
    ports = BrakePorts(
        MemoryStatistics(),
        MemoryWatchlist(),
        MemoryBrakes(),
        MemoryBrakeFlags(),
        MemoryServerFacts(),
        MemoryDirectory(),
    )
    return StatisticsArea(ports, MemoryLimits())
