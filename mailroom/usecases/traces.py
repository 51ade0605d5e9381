"""Dialogues with receivers that operators ask for: asked for by the API, run by a host."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mailroom.domain.sending.trace import (
    LIVES,
    WAITS,
    Trace,
    TraceLine,
    TraceRequest,
    TraceState,
    check_trace,
    dump_trace,
    load_trace,
)
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.identity import new_id
from mailroom.domain.tenancy.record import ABSENT, Place, Record
from mailroom.errors import NotFoundError, OrderError, TooManyError
from mailroom.ports.control import Control
from mailroom.usecases.registrar import Registrar, missing

PARTITION = "trace"
GENERATION = Place("generation", "traces")
MAX_WAITING = 20
_RUNS = 300.0  # seconds that a dialogue may take


@dataclass(frozen=True, slots=True)
class TracePorts:
    """Where requests lie; the register keeps the audit log and the clock."""

    control: Control
    registrar: Registrar


def ask_trace(wanted: TraceRequest, ports: TracePorts, *, actor: Actor) -> Trace:
    """Ask hosts for a dialogue; its id, author and time are filled in here.

    Raises OrderError for what cannot be run, TooManyError while 20 wait.
    """
    registrar = ports.registrar
    now = registrar.clock.now()
    id_ = new_id("trc", now=now, chance=registrar.chance, environment=registrar.environment)
    request = replace(wanted, id=id_, author=actor.name or actor.id, created_at=now)
    try:
        check_trace(request)
    except ValueError as error:
        raise OrderError(str(error)) from error
    if len(waiting_traces(ports.control, now=now)) >= MAX_WAITING:
        raise TooManyError(f"{MAX_WAITING} dialogues wait for a host already")
    entry = {
        "kind": "trace", "id": id_, "parent": "platform",
        "before": {}, "after": dump_trace(Trace(request))["request"],
    }  # fmt: skip
    registrar.registry.write([registrar.note("create", entry, organisation="", actor=actor)])
    trace = Trace(request)
    ports.control.put(_record(trace), ABSENT)
    ports.control.put(Record(GENERATION, {}))
    return trace


def read_trace(id_: str, ports: TracePorts) -> Trace:
    """Return a dialogue as far as it is known. Raises NotFoundError.

    One that no host took within a minute, or whose host fell silent, has failed.
    """
    registrar = ports.registrar
    found = ports.control.read(Place(PARTITION, id_))
    if found is None:
        raise missing(id_, registrar.environment)
    trace = load_trace(found.body)
    age = registrar.clock.now() - trace.request.created_at
    if age > LIVES:
        raise NotFoundError("there is nothing with that id")
    if trace.state is TraceState.WAITING and age > WAITS:
        return replace(trace, state=TraceState.FAILED, error="no host took it within a minute")
    if trace.state is TraceState.RUNNING and age > WAITS + _RUNS:
        return replace(trace, state=TraceState.FAILED, error="the host that took it fell silent")
    return trace


def trace_generation(control: Control) -> int:
    """Return the number that grows with every request."""
    found = control.read(GENERATION)
    return found.revision if found else 0


def waiting_traces(control: Control, *, now: float) -> Sequence[Record]:
    """Return the rows of requests that a host may take."""
    found = []
    after = ""
    while True:
        page = control.page(PARTITION, after=after)
        found += [each for each in page.records if _waits(each, now)]
        after = page.after
        if not after:
            return found


def take_trace(
    control: Control, process: str, *, now: float, mine: Callable[[TraceRequest], bool]
) -> Trace | None:
    """Take the oldest request that is `mine` to run, or return None. No other host gets it."""
    for record in waiting_traces(control, now=now):
        trace = load_trace(record.body)
        if not mine(trace.request):
            continue
        taken = replace(trace, state=TraceState.RUNNING, process=process)
        if control.put(_record(taken), record.revision):
            return taken
    return None


def finish_trace(
    trace: Trace, lines: Sequence[TraceLine], control: Control, *, now: float, error: str = ""
) -> Trace:
    """Write what was said; `error` is why it ended before its end."""
    state = TraceState.FAILED if error else TraceState.DONE
    ended = replace(trace, state=state, lines=tuple(lines), error=error, finished_at=now)
    control.put(_record(ended))
    return ended


def _waits(record: Record, now: float) -> bool:
    asked = record.body.get("request", {})
    is_new = now - float(asked.get("created_at", 0.0)) <= WAITS
    return is_new and record.body.get("state") == TraceState.WAITING


def _record(trace: Trace) -> Record:
    place = Place(PARTITION, trace.request.id)
    return Record(place, dump_trace(trace), expires_at=trace.request.created_at + LIVES)
