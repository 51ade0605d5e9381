"""The ports Sources and PoolRules in memory."""

from dataclasses import dataclass, field

from mailroom.domain.message import ServerId
from mailroom.domain.sending.pool_choice import PoolRuleSet
from mailroom.domain.sending.source import Fleet


@dataclass(slots=True)
class MemorySources:
    """The Sources port; `broken` makes it fail."""

    fleet: Fleet = field(default_factory=Fleet)
    broken: bool = False

    def read(self) -> Fleet:
        """See Sources.read. Raises ConnectionError while `broken`."""
        if self.broken:
            raise ConnectionError("no table")
        return self.fleet


@dataclass(slots=True)
class MemoryPoolRules:
    """The PoolRules port: sets by server, whatever the organisation."""

    sets: dict[ServerId, PoolRuleSet] = field(default_factory=dict)

    def of(self, server: ServerId, organisation: str) -> PoolRuleSet:
        """See PoolRules.of."""
        return self.sets.get(server, PoolRuleSet())
