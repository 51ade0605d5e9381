"""Send limits as several processes share them: never over, hardly under."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.sender.limits import Full, NoLimits, ServerLimits
from mailroom.domain.message import Server, ServerId
from mailroom.domain.send_limit import LimitAction, Limits, Notice, Told, slice_size
from mailroom.errors import LimitUnavailableError
from mailroom.fakes.limits import MemoryLimits

START = 1_760_000_000.0
SERVER = Server(ServerId("abcdefghij"), "org", "Demo", "demo", "abc123")


def limited(limit: int) -> Server:
    return replace(SERVER, send_limit=limit)


@dataclass
class Hosts:
    """Sender processes over one table and one clock."""

    count: int = 1
    table: MemoryLimits = field(default_factory=MemoryLimits)
    now: float = START
    passed: list[float] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes = [
            ServerLimits(
                self.table, now=lambda: self.now, notify=lambda _id, told: self.told.append(told)
            )
            for _ in range(self.count)
        ]

    async def take(self, server: Server, process: int = 0) -> bool:
        full = await self.processes[process % self.count].take(server)
        if full is None:
            self.passed.append(self.now)
        return full is None

    def within(self, seconds: float) -> int:
        return sum(1 for at in self.passed if at > self.now - seconds)


async def test_a_server_without_a_limit_costs_nothing() -> None:
    hosts = Hosts()
    assert all([await hosts.take(SERVER) for _ in range(10)])
    assert hosts.table.asked == 0


async def test_one_question_serves_a_slice_of_messages() -> None:
    hosts = Hosts()
    assert all([await hosts.take(limited(1000)) for _ in range(20)])
    assert hosts.table.asked == 2


async def test_a_refusal_is_remembered_for_its_minute() -> None:
    hosts = Hosts()
    assert [await hosts.take(limited(2)) for _ in range(6)] == [True] * 2 + [False] * 4
    assert hosts.table.asked == 3
    hosts.now += 60
    assert not await hosts.take(limited(2))
    assert hosts.table.asked == 4


async def test_after_an_hour_it_goes_on() -> None:
    hosts = Hosts()
    assert [await hosts.take(limited(1)) for _ in range(2)] == [True, False]
    hosts.now += 3600 + 60
    assert await hosts.take(limited(1))


async def test_the_edges_of_the_hour_lie_within_minutes() -> None:
    hosts = Hosts(now=START - START % 60 + 59)
    assert [await hosts.take(limited(3)) for _ in range(3)] == [True] * 3
    hosts.now += 3600 - 58  # two seconds within the sixtieth minute from there
    assert not await hosts.take(limited(3))
    hosts.now += 60
    assert await hosts.take(limited(3))


async def test_what_is_left_of_a_slice_comes_back_with_the_next_minute() -> None:
    hosts = Hosts()
    for _ in range(30):  # one message a minute, of slices of ten
        assert await hosts.take(limited(1000))
        hosts.now += 60
    reserved = hosts.table.usages[SERVER.id].reserved
    assert sum(reserved.values()) == 29 + 10


async def test_those_who_ask_at_once_share_one_slice() -> None:
    hosts = Hosts()
    taken = await asyncio.gather(*(hosts.take(limited(20)) for _ in range(50)))
    assert sum(taken) == 20
    assert sum(hosts.table.usages[SERVER.id].reserved.values()) == 20


async def test_a_table_that_does_not_answer_lets_nothing_through() -> None:
    hosts = Hosts()
    hosts.table.trouble = [OSError("down")] * 2
    with pytest.raises(LimitUnavailableError):
        await hosts.take(limited(10))
    assert await hosts.take(limited(10))  # it is back


async def test_an_idle_connection_that_died_is_no_trouble() -> None:
    hosts = Hosts()
    hosts.table.trouble = [OSError("reset")]
    assert await hosts.take(limited(10))


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_in_doubt_is_never_used_nor_given_back_twice(late: bool) -> None:
    hosts = Hosts()
    assert await hosts.take(limited(1000))  # nine of ten are left
    hosts.now += 60
    hosts.table.late = late
    hosts.table.trouble = [OSError("no answer")]
    assert await hosts.take(limited(1000))
    reserved = hosts.table.usages[SERVER.id].reserved
    assert sum(reserved.values()) == (1 + 10 + 10 if late else 10 + 10)


async def test_a_slice_that_came_too_late_is_not_used() -> None:
    hosts = Hosts()

    class Slow(MemoryLimits):
        def reserve(self, *given, **named):  # type: ignore[no-untyped-def]  # as the fake has it
            reservation = super().reserve(*given, **named)
            hosts.now += 61
            return reservation

    limits = ServerLimits(Slow(), now=lambda: hosts.now)
    with pytest.raises(LimitUnavailableError):
        await limits.take(limited(1000))


async def test_without_a_table_only_servers_without_a_limit_send() -> None:
    assert await NoLimits().take(SERVER) is None
    with pytest.raises(LimitUnavailableError):
        await NoLimits().take(limited(10))


async def test_operators_hear_of_a_limit_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    hosts = Hosts(count=2)
    for number in range(15):
        await hosts.take(limited(10), process=number)
    assert [told.notice for told in hosts.told] == [Notice.APPROACHING, Notice.EXCEEDED]
    lines = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [line.message for line in lines] == [
        "send limit approaching",
        "send limit exceeded",
    ]
    assert (vars(lines[0])["volume"], vars(lines[0])["limit"]) == (9, 10)


async def test_a_notice_that_cannot_be_told_stops_no_mail() -> None:
    def broken(_server: ServerId, _told: Told) -> None:
        raise OSError("down")

    limits = ServerLimits(MemoryLimits(), now=lambda: START, notify=broken)
    assert await limits.take(limited(1)) is None


async def test_a_refusal_says_when_there_is_room() -> None:
    hosts = Hosts()
    day = replace(SERVER, limits=Limits(hour=9, day=1), time_zone="Europe/Berlin")
    assert await hosts.take(day)
    midnight = 1_760_047_200.0  # 2025-10-10 00:00 in Berlin
    assert await hosts.processes[0].take(day) == Full(midnight)
    hosts.now = midnight
    assert await hosts.take(day)


async def test_a_server_that_rejects_is_not_counted_again_when_it_sends() -> None:
    hosts = Hosts()
    rejecting = replace(SERVER, limits=Limits(hour=1, action=LimitAction.REJECT))
    assert all([await hosts.take(rejecting) for _ in range(3)])
    assert await NoLimits().take(rejecting) is None
    assert hosts.table.asked == 0


async def test_the_memory_of_servers_is_bounded() -> None:
    limits = ServerLimits(MemoryLimits(), now=lambda: START)
    for number in range(10_050):
        share = limits._share(ServerId(f"s{number}"))
    assert len(limits._shares) == 10_000
    assert limits._share(ServerId("s10049")) is share


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),  # who
        st.integers(1, 12),  # how many
        st.sampled_from([0, 0, 0, 1, 7, 30, 59, 61, 400, 1800, 3599, 3601]),  # seconds later
        st.sampled_from(["", "", "", "lost", "late"]),
    ),
    max_size=40,
)


@given(st.integers(1, 4), st.integers(0, 40) | st.integers(150, 450), STEPS)
@settings(max_examples=100, deadline=None)
def test_no_hour_sees_more_than_the_limit_and_a_refusal_means_it_is_nearly_used(
    processes: int, limit: int, steps: Sequence[tuple[int, int, int, str]]
) -> None:
    async def live() -> None:
        hosts = Hosts(processes)
        server, healthy = limited(limit), True
        for who, messages, wait, trouble in steps:
            hosts.now += wait
            hosts.table.late, hosts.table.trouble = trouble == "late", []
            if trouble:
                healthy = False
                hosts.table.trouble = [OSError("no answer")] * (1 + messages % 2)
            for _ in range(messages):
                try:
                    taken = await hosts.take(server, who)
                except LimitUnavailableError:
                    continue
                assert hosts.within(3600) <= limit
                if not taken and healthy:
                    unused = limit - hosts.within(61 * 60)
                    assert unused <= processes * slice_size([limit])

    asyncio.run(live())
