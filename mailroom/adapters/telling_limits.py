"""Send limits whose notices become facts of the server, for doors that reject what is over one."""

import logging

from mailroom.adapters.dynamo_limits import DynamoLimits, bound_limits
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.tables import ServerFactRow, bound
from mailroom.domain.limit_fact import limit_fact
from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import Limits, Reservation, Slice, Times, Usage
from mailroom.ports import Clock, SendLimits
from mailroom.ports.server_facts import ServerFacts
from mailroom.settings import Settings

log = logging.getLogger(__name__)


class TellingLimits:
    """The SendLimits port over another one."""

    def __init__(self, limits: SendLimits, facts: ServerFacts, clock: Clock) -> None:
        self._limits = limits
        self._facts = facts
        self._clock = clock

    def reserve(
        self,
        server: ServerId,
        limits: Limits,
        at: Times,
        leftover: Slice | None = None,
        wanted: int | None = None,
    ) -> Reservation:
        """See SendLimits.reserve. A notice that cannot be told stops no mail."""
        reservation = self._limits.reserve(server, limits, at, leftover, wanted)
        for told in reservation.told:
            try:
                self._facts.tell(limit_fact(server, told, self._clock.now()))
            except Exception:
                log.exception("send limit notice not told", extra={"server": server})
        return reservation

    def usage(self, server: ServerId) -> Usage:
        """See SendLimits.usage."""
        return self._limits.usage(server)


def telling_limits(settings: Settings, clock: Clock) -> TellingLimits:
    """Return the deployment's limits. Raises SettingsError if a table is not given."""
    return TellingLimits(
        DynamoLimits(bound_limits(settings.resource("table", "counters"))),
        DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        clock,
    )
