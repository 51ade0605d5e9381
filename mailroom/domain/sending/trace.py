"""A dialogue with a receiver that an operator asks for: the request, and what was said.

`mailroom/domain/trace.py` is about something else: the X-Ray trace of a request.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

LIVES = 3_600.0  # seconds that a request and its result are kept
WAITS = 60.0  # seconds after which a request that no host took has failed
MAX_LINES = 400
MAX_TEXT = 1_000  # characters of a line
MAX_SIZE = 320  # characters of a domain or an address


class TraceDepth(StrEnum):
    """How far it goes. Values are stored; never rename them."""

    RESOLVE = "resolve"  # DNS alone
    CONNECT = "connect"  # greeting, EHLO, STARTTLS
    RECIPIENT = "recipient"  # MAIL and RCPT, then RSET
    SEND = "send"  # one short message


class TraceState(StrEnum):
    """What became of a request. Values are stored; never rename them."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # `error` says why


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """What is asked for. Times are Unix seconds.

    `domain` is where mail goes; `address` the id of the source address, "" for any; `process` the
    host that is meant, "" for the one that holds the address, or any. `host` narrows it to one
    mail exchanger. `recipient` and `sender` are needed from RECIPIENT on; a sender "" is the null
    sender.
    """

    id: str
    depth: TraceDepth
    domain: str
    author: str
    created_at: float
    address: str = ""
    process: str = ""
    host: str = ""
    recipient: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line: `who` is `<` for theirs, `>` for ours, `*` for a remark. `at` is seconds since
    the beginning."""

    at: float
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A request with what came of it. `process` is the host that ran it, "" for none yet."""

    request: TraceRequest
    state: TraceState = TraceState.WAITING
    process: str = ""
    lines: tuple[TraceLine, ...] = ()
    error: str = ""
    finished_at: float | None = None


def check_trace(request: TraceRequest) -> None:
    """See that a request can be run. Raises ValueError with what is wrong in plain words."""
    for name in ("domain", "host", "recipient", "sender", "address", "process"):
        value = getattr(request, name)
        fits = value.isprintable() and len(value) <= MAX_SIZE and not set(value) & set(" <>")
        if not fits:
            raise ValueError(f"{name} is too long or has characters that none has")
    if not request.domain:
        raise ValueError("a trace needs a domain")
    if request.depth in (TraceDepth.RECIPIENT, TraceDepth.SEND) and "@" not in request.recipient:
        raise ValueError(f"{request.depth} needs a recipient")


def dump_trace(trace: Trace) -> dict[str, Any]:
    """Return the JSON-ready form of a trace, bounded."""
    body = asdict(trace)
    body["lines"] = [[each.at, each.who, each.text[:MAX_TEXT]] for each in trace.lines[:MAX_LINES]]
    return body


def load_trace(body: Mapping[str, Any]) -> Trace:
    """Return what `dump_trace` wrote; fields of a later version are left out."""
    names = {each.name for each in fields(TraceRequest)}
    asked = {name: value for name, value in body["request"].items() if name in names}
    asked["depth"] = TraceDepth(asked["depth"])
    return Trace(
        request=TraceRequest(**asked),
        state=TraceState(body.get("state", TraceState.WAITING)),
        process=body.get("process", ""),
        lines=tuple(TraceLine(float(at), who, text) for at, who, text in body.get("lines", ())),
        error=body.get("error", ""),
        finished_at=body.get("finished_at"),
    )


@dataclass(slots=True)
class Transcript:
    """Lines as they are said; `now` is asked of the caller. No more than MAX_LINES are kept."""

    began: float
    lines: list[TraceLine] = field(default_factory=list)

    def add(self, now: float, who: str, text: str) -> None:
        """Note a line."""
        if len(self.lines) < MAX_LINES:
            self.lines.append(TraceLine(round(now - self.began, 3), who, text[:MAX_TEXT]))
