"""How the records of a domain stand: one state each, one for the whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mailroom.domain.dns.records import Need, Purpose


class State(StrEnum):
    """How a record stands. Values are stored and shown; never rename them."""

    OK = "ok"
    MISSING = "missing"
    INVALID = "invalid"
    UNKNOWN = "unknown"  # the DNS gave no usable answer, or was not asked yet


@dataclass(frozen=True, slots=True)
class Check:
    """One record's state. `reason` is a sentence for a person; `found` is what is published.

    `key` names the record among those of its domain (`Record.key`).
    """

    key: str
    purpose: Purpose
    name: str
    need: Need
    state: State
    reason: str
    found: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of a domain, made together. `verified` is that of ownership, as in Postal."""

    checks: tuple[Check, ...]

    @property
    def total(self) -> State:
        """The worst state that matters.

        As in Postal a return path or MX that is missing does no harm, one that is wrong does.
        What is pending or recommended for its own sake (DMARC, a key that signs nothing yet) is
        left out.
        """
        return total_state([(each.need, each.purpose, each.state) for each in self.checks])

    @property
    def verified(self) -> bool:
        """Whether the ownership record is there."""
        return self.state_of(Purpose.OWNERSHIP) is State.OK

    def state_of(self, purpose: Purpose) -> State:
        """Return the worst state of a purpose's records, OK only if there is one."""
        return worst_state([each.state for each in self.checks if each.purpose is purpose])


_ORDER = (State.INVALID, State.MISSING, State.UNKNOWN, State.OK)


def total_state(states: Sequence[tuple[Need, Purpose, State]]) -> State:
    """Return the state of a whole domain; see `Report.total`."""
    counted = [
        state
        for need, purpose, state in states
        if need is Need.REQUIRED
        or (purpose in (Purpose.RETURN_PATH, Purpose.MX) and state is State.INVALID)
    ]
    return worst_state(counted)


def worst_state(states: Sequence[State]) -> State:
    """Return the worst of `states`; UNKNOWN if there are none."""
    return min(states, key=_ORDER.index, default=State.UNKNOWN)
