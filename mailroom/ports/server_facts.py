"""Telling facts of a server, so that its webhooks hear of them whatever happens after."""

from collections.abc import Sequence
from typing import Protocol

from mailroom.domain.message import ServerId
from mailroom.domain.server_fact import ServerFact


class ServerFacts(Protocol):
    """The facts of servers; each new one travels to the topic and from there to webhooks."""

    def tell(self, fact: ServerFact) -> bool:
        """Write a fact down, for 60 days; False, changing nothing, if it was told already.

        Told is what has the same id and time. When this returns the fact is on its way.
        """

    def told(self, server: ServerId, *, limit: int) -> Sequence[ServerFact]:
        """Return the newest `limit` facts of a server, newest first."""
