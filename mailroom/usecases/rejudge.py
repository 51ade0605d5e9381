"""Judge a delivery's stored opens and clicks again, by the rules of today."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.domain.event import Event
from mailroom.domain.message import DeliveryKey
from mailroom.domain.visit import rejudge
from mailroom.ports import Ledger


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One hit whose verdict has changed: as it is stored, and as it is judged now."""

    before: Event
    after: Event


def rejudge_delivery(key: DeliveryKey, ledger: Ledger) -> Sequence[Rejudged]:
    """Return the hits of a delivery whose verdict has changed, oldest first; nothing is written.

    The stored facts stay as they were told to webhooks: a figure made from the new verdicts can
    always be explained by the rules' version it was made with.
    """
    history = ledger.history(key)
    pairs = zip(history, rejudge(history), strict=True)
    return [Rejudged(old, new) for old, new in pairs if _verdict(old) != _verdict(new)]


def _verdict(event: Event) -> str:
    return event.view.verdict if event.view else ""
