"""The ServerFacts port in memory."""

from collections.abc import Sequence

from mailroom.domain.message import ServerId
from mailroom.domain.server_fact import ServerFact


class MemoryServerFacts:
    """Facts in the order they were told."""

    def __init__(self) -> None:
        self.facts: list[ServerFact] = []

    def tell(self, fact: ServerFact) -> bool:
        """See ServerFacts.tell."""
        if any((known.id, known.at) == (fact.id, fact.at) for known in self.facts):
            return False
        self.facts.append(fact)
        return True

    def told(self, server: ServerId, *, limit: int) -> Sequence[ServerFact]:
        """See ServerFacts.told."""
        found = [fact for fact in self.facts if fact.server == server]
        return sorted(found, key=lambda fact: (fact.at, fact.id), reverse=True)[:limit]
