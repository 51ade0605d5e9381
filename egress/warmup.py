"""Warm-up on a host: asked at once and from memory, booked and written in the background.

    room       may the next message to these providers leave from this address, or when
    attempted  it goes now; in the same step as `room`, with no await between
    concluded  what came of it, by what reply rules say; or one of accepted, refused and bounced
    returned   it was not offered to anybody after all
    suspended, held   what else the day's judgement must know; `concluded` says it too

Addresses that are neither cold nor warming, and those without a plan, have no caps. What they
send is noted all the same where they have a plan, so that an idle one is warmed again.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement, Scope, Verb
from mailroom.domain.sending.source import AddressState, SourceAddress
from mailroom.domain.warmup.allowance import Allowance
from mailroom.domain.warmup.booking import Wish
from mailroom.domain.warmup.plan import FIRST_DAYS_CONNECTIONS, Plan, group_of, plan_named
from mailroom.domain.warmup.progress import DayFacts, Progress, utc_day
from mailroom.usecases.warmup import (
    Reserved,
    WarmUpPorts,
    give_back,
    note_facts,
    reserve,
)

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
WARM_FLUSH_SECONDS = 900.0  # of addresses without caps, of which only the day of use counts
ASK_AGAIN_SECONDS = 600.0  # whether a group that is warm still is
TROUBLE_SECONDS = 5.0
_AT_ONCE = 8  # bookings under way
_OURS = frozenset((Scope.PATH, Scope.ADDRESS))

Key = tuple[str, str]  # address id, group


@dataclass(slots=True)
class _Line:
    """One address and group on this host."""

    source: SourceAddress
    holder: str
    allowance: Allowance = field(default_factory=Allowance)
    progress: Progress | None = None
    wish: Wish | None = None
    not_before: float = 0.0
    busy: bool = False
    facts: dict[int, Counter[str]] = field(default_factory=dict)
    unwritten: set[int] = field(default_factory=set)
    write_at: float = 0.0

    def is_warm(self, now: float) -> bool:
        """Say whether the group needed no caps when it was last looked at."""
        return self.progress is not None and self.progress.cap is None and now < self.not_before


class WarmUp:
    """The caps of all addresses of a host. Times are Unix seconds; one event loop only."""

    def __init__(
        self,
        ports: WarmUpPorts,
        *,
        holder: str,
        clock: Callable[[], float],
        plans: Callable[[str], Plan] = plan_named,
        named: Callable[[SourceAddress, str], str] = lambda _source, _group: "",
    ) -> None:
        """Take the name of this run of the process, which no other run may ever have had.

        `plans` returns a plan by its name, `named` the name of the plan that shaping wants for an
        address and a group, "" for the address's own. Both may change their minds, which counts
        from the next booking on.
        """
        self._ports = ports
        self._holder = holder
        self._clock = clock
        self._plans = plans
        self._named = named
        self._lines: dict[Key, _Line] = {}
        self._begun = 0
        self._writing = asyncio.Lock()  # a write that is overtaken would undo the newer one
        self._wanted: set[Key] = set()
        self._awake = asyncio.Event()
        self._bookings: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to book and write in the background. Needs a running event loop."""
        self._loop = asyncio.create_task(self._run(), name="warm-up")

    def room(self, source: SourceAddress, provider: str, now: float) -> float:
        """Return when the next message may go: `now`, or a later time when to ask again.

        While a slice is being booked that is a quarter of a second; when the hour or the day is
        used up, the beginning of the next one. Nothing is counted yet.
        """
        if not is_limited(source):
            return now
        key, line = self._line(source, provider)
        if line.is_warm(now):
            return now
        wish = line.allowance.wish(now)
        if wish is not None:
            self._want(key, line, wish, now)
        when = line.allowance.earliest(now)
        if when <= now:
            return now
        return max(when, line.not_before)

    def connections(self, source: SourceAddress, provider: str) -> int | None:
        """Return the most connections to a site of the provider, None where warm-up sets none."""
        if not is_limited(source):
            return None
        _, line = self._line(source, provider)
        return FIRST_DAYS_CONNECTIONS if line.progress is None else line.progress.connections

    def attempted(self, source: SourceAddress, provider: str, now: float) -> bool:
        """Count a message that goes now. False, and nothing is counted, if `room` is later."""
        if not is_limited(source):
            self._note(source, provider, now, "attempted")
            return True
        _, line = self._line(source, provider)
        if not line.is_warm(now) and not line.allowance.take(now):
            return False
        self._note(source, provider, now, "attempted")
        self.room(source, provider, now)  # what is short now is booked before somebody waits
        return True

    def accepted(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that an attempt ended with a message accepted, or with nobody knowing."""
        self._note(source, provider, now, "accepted")
        if is_limited(source):
            self._line(source, provider)[1].allowance.accepted(now)

    def refused(
        self, source: SourceAddress, provider: str, now: float, *, blames_path: bool
    ) -> None:
        """Note that an attempt ended without acceptance, for now; whether the reply blames us."""
        self._refused(source, provider, now, "deferred" if blames_path else "")

    def bounced(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that an attempt ended with a permanent refusal."""
        self._refused(source, provider, now, "bounced")

    def returned(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that a message which was counted was not offered to anybody after all."""
        self._refused(source, provider, now, "")
        if source.plan:
            facts = self._line(source, provider)[1].facts.get(utc_day(now))
            if facts is not None and facts["attempted"]:
                facts["attempted"] -= 1

    def concluded(
        self,
        source: SourceAddress,
        provider: str,
        judgement: Judgement | None,
        reply: SmtpReply,
        now: float,
        *,
        silenced: bool,
    ) -> None:
        """Note a reply by what the rules said about it, None for one that accepted the message.

        `silenced` says whether the path is suspended or the address disabled there since.
        """
        if judgement is None:
            self.accepted(source, provider, now)
            return
        permanent = judgement.permanent
        if permanent is None:
            permanent = reply.code // 100 == 5
        if permanent and judgement.scope is Scope.MESSAGE:
            self.bounced(source, provider, now)
        else:
            self.refused(source, provider, now, blames_path=judgement.scope in _OURS)
        if judgement.action(Verb.HOLD_WARMUP):
            self.held(source, provider, now)
        if silenced and judgement.scope in _OURS:
            self.suspended(source, provider, now)

    def suspended(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that the address was suspended or disabled at a site of the provider."""
        self._note(source, provider, now, "suspended")

    def held(self, source: SourceAddress, provider: str, now: float) -> None:
        """Note that a reply asked to go no further with the warm-up."""
        self._note(source, provider, now, "held")

    async def release(self, address: str) -> None:
        """Give back what is not used of an address that goes to another host, and forget it."""
        await self._settled()
        for key in [key for key in self._lines if key[0] == address]:
            await self._give_back(key, self._lines[key])
            await self._write(key, self._lines[key])
            self._lines.pop(key, None)

    async def close(self) -> None:
        """Stop; give back what is not used and write what is known. Trouble is only logged."""
        if self._loop is not None:
            async with self._writing:
                self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
            self._loop = None
        for address in {key[0] for key in self._lines}:
            await self.release(address)

    def _line(self, source: SourceAddress, provider: str) -> tuple[Key, _Line]:
        key = (source.id, group_of(provider))
        line = self._lines.get(key)
        if line is None:
            # An address may leave and come back; what it had used before is never written over.
            self._begun += 1
            line = self._lines[key] = _Line(source, f"{self._holder}.{self._begun}")
        line.source = source
        return key, line

    def _want(self, key: Key, line: _Line, wish: Wish, now: float) -> None:
        if line.busy or now < line.not_before:
            return
        line.wish, line.busy = wish, True
        self._wanted.add(key)
        self._awake.set()

    def _refused(self, source: SourceAddress, provider: str, now: float, fact: str) -> None:
        if fact:
            self._note(source, provider, now, fact)
        if is_limited(source):
            self._line(source, provider)[1].allowance.refused(now)

    def _note(self, source: SourceAddress, provider: str, now: float, fact: str) -> None:
        if not source.plan:
            return
        _, line = self._line(source, provider)
        day = utc_day(now)
        facts = line.facts.get(day)
        if facts is None:
            facts = line.facts[day] = Counter()
        facts[fact] += 1
        if not line.unwritten:
            seconds = FLUSH_SECONDS if is_limited(source) else WARM_FLUSH_SECONDS
            line.write_at = now + seconds
        line.unwritten.add(day)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS / 5):
                    await self._awake.wait()
            self._awake.clear()
            while self._wanted and len(self._bookings) < _AT_ONCE:
                key = self._wanted.pop()
                if key not in self._lines:
                    continue  # given back meanwhile
                task = asyncio.create_task(self._book(key, self._lines[key]))
                self._bookings.add(task)
                task.add_done_callback(self._booked)
            now = self._clock()
            for key, line in list(self._lines.items()):
                if line.unwritten and line.write_at <= now:
                    await self._write(key, line)

    def _booked(self, task: asyncio.Task[None]) -> None:
        self._bookings.discard(task)
        self._awake.set()

    async def _book(self, key: Key, line: _Line) -> None:
        try:
            reserved = await asyncio.to_thread(self._reserve, key, line)
        except Exception as error:  # noqa: BLE001  # without a booking nothing goes: that is safe
            log.warning("warm-up of %s at %s cannot be booked: %s", *key, type(error).__name__)
            line.not_before = self._clock() + TROUBLE_SECONDS
        else:
            line.progress = reserved.progress
            cap = reserved.progress.cap
            if reserved.granted is not None and cap is not None:
                line.allowance.granted(reserved.granted, cap)
                line.not_before = 0.0
            else:
                line.not_before = self._clock() + ASK_AGAIN_SECONDS
        finally:
            line.busy = False

    def _reserve(self, key: Key, line: _Line) -> Reserved:
        name = self._named(line.source, key[1]) or line.source.plan
        return reserve(
            *key,
            plan=self._plans(name),
            holder=line.holder,
            have=line.allowance.booking,
            wish=line.wish or Wish(0, 0),
            ports=self._ports,
        )

    async def _give_back(self, key: Key, line: _Line) -> None:
        left = line.allowance.give_back(self._clock())
        if left is None:
            return
        try:
            await asyncio.to_thread(
                give_back, *key, holder=line.holder, have=left, ports=self._ports
            )
        except Exception as error:  # noqa: BLE001  # what is lost is less mail, never more
            log.warning("warm-up of %s at %s is not given back: %s", *key, type(error).__name__)

    async def _write(self, key: Key, line: _Line) -> None:
        """Write the totals of the days that have changed, and forget those that are over."""
        async with self._writing:
            await self._write_now(key, line)

    async def _write_now(self, key: Key, line: _Line) -> None:
        days, line.unwritten = line.unwritten, set()
        today = utc_day(self._clock())
        try:
            for day in sorted(days):
                await asyncio.to_thread(
                    note_facts,
                    *key,
                    day=day,
                    holder=line.holder,
                    facts=DayFacts(**line.facts[day]),
                    ports=self._ports,
                )
        except Exception as error:  # noqa: BLE001  # they are totals: the next write has them too
            log.warning("facts of %s at %s are not written: %s", *key, type(error).__name__)
            line.unwritten |= days
            line.write_at = self._clock() + TROUBLE_SECONDS
            return
        for day in [day for day in line.facts if day < today - 1]:
            del line.facts[day]

    async def _settled(self) -> None:
        while self._bookings:
            await asyncio.wait(set(self._bookings))


def is_limited(source: SourceAddress) -> bool:
    """Say whether an address has caps at all."""
    state = source.state
    return (state is AddressState.WARMING or state is AddressState.COLD) and bool(source.plan)
