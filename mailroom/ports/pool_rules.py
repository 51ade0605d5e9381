"""What chooses a pool for the mail of one server."""

from typing import Protocol

from mailroom.domain.message import ServerId
from mailroom.domain.sending.pool_choice import PoolRuleSet


class PoolRules(Protocol):
    """Rules and defaults of servers and organisations. Not cached: who asks often keeps them."""

    def of(self, server: ServerId, organisation: str) -> PoolRuleSet:
        """Return all that is configured for the server's mail, an empty set for an unknown one."""
