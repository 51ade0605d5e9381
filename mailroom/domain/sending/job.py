"""One delivery as the engine sees it while it waits on a host: facts, no content."""

from dataclasses import dataclass
from enum import IntEnum

from mailroom.domain.message import DeliveryKey


class LaneClass(IntEnum):
    """How urgent mail is; the smaller goes first. The class of its stream."""

    TRANSACTIONAL = 0
    BULK = 1


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What decides where and when a delivery may go. Times are Unix seconds.

    `tenant` is its server, `organisation` its organisation, `campaign` its tag. `pools` are the
    ids of the pools it may go out through, the first by choice, the others as overflow. `sticky`
    is the source address that was greylisted and must come again.
    """

    key: DeliveryKey
    generation: int
    recipient: str
    tenant: str
    organisation: str
    lane: LaneClass
    sign_domain: str
    from_address: str
    size: int
    pools: tuple[str, ...]
    accepted_at: float
    expires_at: float
    campaign: str = ""
    credential: str = ""
    stream: str = ""
    attempts: int = 0
    sticky: str = ""
    priority: int = 0  # -10 to 10, set by an order

    @property
    def domain(self) -> str:
        """The recipient's domain, as it was given."""
        return self.recipient.rpartition("@")[2].lower()
