"""One layer of settings: what it changes, and where it is narrowed to pools and addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Layer:
    """Settings by name, those of the twin for BACKOFF by `backoff.<name>`.

    `replace` forgets what wider layers say. `warmup` and `retry` are names of a warm-up plan and
    of a retry schedule, "" where the layer names none. `pools` and `addresses` narrow it, by id.
    """

    values: Mapping[str, Any] = field(default_factory=lambda: NONE)
    replace: bool = False
    warmup: str = ""
    retry: str = ""
    pools: Mapping[str, "Layer"] = field(default_factory=lambda: NONE)
    addresses: Mapping[str, "Layer"] = field(default_factory=lambda: NONE)

    def narrowed(self, name: str, pool: str, address: str) -> list[tuple[str, "Layer"]]:
        """Return this layer and what narrows it, with their names, the narrowest last."""
        found = [(name, self)]
        if pool in self.pools:
            found.append((f"{name}.pools.{pool}", self.pools[pool]))
        if address in self.addresses:
            found.append((f"{name}.addresses.{address}", self.addresses[address]))
        return found
