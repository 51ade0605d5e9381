"""Runs the dialogues with receivers that operators ask for, one at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from egress.core.mx import MxAnswer, MxTarget
from egress.dialogue import Dialogue, EndedError
from egress.polling import poll
from egress.source import Source
from mailroom.domain.sending.trace import Trace, TraceDepth, TraceRequest, Transcript
from mailroom.ports.control import Control
from mailroom.usecases.traces import finish_trace, take_trace, trace_generation

log = logging.getLogger(__name__)

EVERY = 2.0
_SECONDS = 240.0  # a dialogue may take
_TARGETS = 10  # shown


@dataclass(frozen=True, slots=True)
class TraceTools:
    """What a dialogue needs of its host.

    `resolve` says where mail for a domain goes. `source` gives what to send from for the id of an
    address: None if this host does not hold it; "" asks for any. `now` gives Unix seconds.
    """

    control: Control
    process: str
    resolve: Callable[[str], Awaitable[MxAnswer]]
    source: Callable[[str], Source | None]
    now: Callable[[], float]
    authorities: Path | None = None


class TraceRunner:
    """Looks for requests every two seconds and runs those that are for this host."""

    def __init__(self, tools: TraceTools, *, every: float = EVERY) -> None:
        self._tools = tools
        self._every = every
        self._generation = -1
        self._busy_until = 0.0  # requests may wait for another host: look again for a minute

    async def run(self, stop: asyncio.Event) -> None:
        """Look for requests until `stop` is set."""
        await poll(self._look_unless_down, stop, every=self._every)

    async def _look_unless_down(self) -> None:
        try:
            await self.look()
        except Exception:
            log.exception("dialogues of operators cannot be looked for")

    async def look(self) -> Trace | None:
        """Run one request if one is for this host; return it with what was said."""
        tools = self._tools
        current = await asyncio.to_thread(trace_generation, tools.control)
        now = tools.now()
        if current != self._generation:
            self._generation, self._busy_until = current, now + 60.0
        elif now >= self._busy_until:
            return None
        trace = await asyncio.to_thread(
            lambda: take_trace(tools.control, tools.process, now=now, mine=self._is_mine)
        )
        return await self._run(trace) if trace else None

    def _is_mine(self, request: TraceRequest) -> bool:
        if request.process and request.process != self._tools.process:
            return False
        return self._tools.source(request.address) is not None

    async def _run(self, trace: Trace) -> Trace:
        tools = self._tools
        transcript = Transcript(tools.now())
        error = ""
        try:
            async with asyncio.timeout(_SECONDS):
                await speak(trace.request, transcript, tools)
        except EndedError as ended:
            error = str(ended)
        except TimeoutError:
            error = f"not done within {_SECONDS:g} seconds"
        except Exception as trouble:
            log.exception("a dialogue broke", extra={"trace": trace.request.id})
            error = f"the host failed: {type(trouble).__name__}"
        lines = tuple(transcript.lines)
        now = tools.now()
        return await asyncio.to_thread(
            lambda: finish_trace(trace, lines, tools.control, now=now, error=error)
        )


async def speak(request: TraceRequest, transcript: Transcript, tools: TraceTools) -> None:
    """Look up where mail goes, and speak with the first host that is meant.

    Raises EndedError where that ends before its end.
    """
    source = tools.source(request.address)
    if source is None:
        raise EndedError("this host does not hold the source address any more")
    answer = await tools.resolve(request.domain)
    if answer.refusal is not None:
        raise EndedError(f"no host takes mail for {request.domain}: {answer.refusal.text}")
    for target in answer.targets[:_TARGETS]:
        text = f"{target.preference} {target.host} [{target.address}]:{target.port}"
        transcript.add(tools.now(), "*", text)
    if request.depth is TraceDepth.RESOLVE:
        return
    target = _chosen(answer.targets, request.host)
    await Dialogue(request, source, transcript, tools.now, tools.authorities).run(target)


def _chosen(targets: Iterable[MxTarget], host: str) -> MxTarget:
    wanted = host.lower().rstrip(".")
    for target in targets:
        if wanted in ("", target.host.lower(), target.address):
            return target
    raise EndedError(f"{host} is none of the hosts that take this mail")
