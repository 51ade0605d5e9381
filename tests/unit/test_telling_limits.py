"""Doors that reject tell of limits as senders do."""

from mailroom.adapters.telling_limits import TellingLimits
from mailroom.domain.message import ServerId
from mailroom.domain.send_limit import LimitAction, Limits, times
from mailroom.domain.server_fact import ServerFact
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.memory import FixedClock
from mailroom.fakes.server_facts import MemoryServerFacts

SERVER = ServerId("abcdefghij")
LIMITS = Limits(hour=10, action=LimitAction.REJECT)


def test_a_notice_is_told_once_an_hour() -> None:
    facts, clock = MemoryServerFacts(), FixedClock()
    limits = TellingLimits(MemoryLimits(), facts, clock)
    for _ in range(3):
        for wanted in (9, 5):
            limits.reserve(SERVER, LIMITS, times(clock.now()), wanted=wanted)
    assert [(fact.name, fact.payload["volume"]) for fact in facts.facts] == [
        ("SendLimitApproaching", 9),
        ("SendLimitExceeded", 9),
    ]
    assert sum(limits.usage(SERVER).reserved.values()) == 9


def test_a_notice_that_cannot_be_told_stops_no_mail() -> None:
    class Broken(MemoryServerFacts):
        def tell(self, fact: ServerFact) -> bool:
            raise ConnectionError

    clock = FixedClock()
    limits = TellingLimits(MemoryLimits(), Broken(), clock)
    assert limits.reserve(SERVER, LIMITS, times(clock.now()), wanted=10).slice.size == 10
