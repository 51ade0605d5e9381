"""Spans to the X-Ray daemon: one segment for each piece of work, subsegments for its steps.

The library supplies entities, ids and the emitter. Its recorder is not used: it keeps one
segment per thread or task tree and asks a daemon which requests to follow, while here hundreds
of deliveries share an event loop and the decision travels with the message. The library is
loaded at the first followed request, so an unfollowed one pays nothing. Datagrams nobody takes
are lost in silence.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.domain.trace import TraceContext, decided, read_trace
from mailroom.ports import Chance, Clock
from mailroom.settings import Settings

MAX_STEPS = 90  # of one segment: a document must fit into a datagram

Value = str | int | float | bool
T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Any])


class Span(Protocol):
    """What is known of a piece of work while it runs."""

    def annotate(self, **values: Value) -> None:
        """Add values that traces can be searched by."""


class _Quiet:
    """The span of what is not followed."""

    def annotate(self, **values: Value) -> None:
        """See Span.annotate."""


class _Followed:
    def __init__(self, segment: Any, entity: Any) -> None:
        self.segment = segment
        self.entity = entity
        self.steps = 0

    def annotate(self, **values: Value) -> None:
        """See Span.annotate."""
        for key, value in values.items():
            self.entity.put_annotation(key, value)


_QUIET = _Quiet()
_current: ContextVar[_Followed | None] = ContextVar("span", default=None)


class Tracing:
    """Makes spans. `rate` is the share of new traces that are followed, 0 to 1.

    `daemon` is the daemon's UDP `host:port` (the library's default if empty); `ambient` gives the
    trace header Lambda has set for the invocation under way, "" elsewhere.
    """

    def __init__(
        self,
        rate: float,
        clock: Clock,
        chance: Chance,
        *,
        daemon: str = "",
        ambient: Callable[[], str] = str,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._chance = chance
        self._daemon = daemon
        self._ambient = ambient

    @contextmanager
    def segment(self, name: str, header: str = "", **values: Value) -> Iterator[Span]:
        """Follow one piece of work, continuing the trace of `header` if it names one.

        An exception that leaves the block is noted and goes on. Segments do not nest: one inside
        another is a piece of work of its own.
        """
        context = self._decide(read_trace(header))
        if not context.sampled:
            yield _QUIET
            return
        segment = self._sdk.segment(name, context)
        try:
            with self._entered(_Followed(segment, segment), values) as span:
                yield span
        finally:
            self._sdk.send(segment)

    @contextmanager
    def invocation(self, name: str) -> Iterator[Span]:
        """Follow one Lambda invocation: below Lambda's own segment where Lambda traces it.

        A trace header of the caller's is not looked at: whoever calls an API must not decide
        what is recorded about it.
        """
        ambient = read_trace(self._ambient())
        if not (ambient.root and ambient.parent and ambient.sampled):
            with self.segment(name, ambient.header) as span:
                yield span
            return
        facade, step = self._sdk.below(name, ambient)
        try:
            with self._entered(_Followed(facade, step), {}) as below:
                yield below
        finally:
            self._sdk.send(step)

    @contextmanager
    def step(self, name: str, **values: Value) -> Iterator[Span]:
        """Follow one step of the work under way; nothing happens outside followed work."""
        above = _current.get()
        if above is None or above.steps >= MAX_STEPS:
            yield _QUIET
            return
        above.steps += 1
        entity = self._sdk.step(name, above.segment)
        above.entity.add_subsegment(entity)
        with self._entered(_Followed(above.segment, entity), values) as span:
            yield span

    @staticmethod
    def annotate(**values: Value) -> None:
        """Annotate the work under way, if it is followed."""
        current = _current.get()
        if current is not None:
            current.annotate(**values)

    @staticmethod
    def header() -> str:
        """Return the header that continues the work under way elsewhere, "" if not followed."""
        current = _current.get()
        if current is None:
            return ""
        return TraceContext(current.segment.trace_id, current.entity.id, sampled=True).header

    @contextmanager
    def _entered(self, span: _Followed, values: dict[str, Value]) -> Iterator[_Followed]:
        span.annotate(**values)
        token = _current.set(span)
        try:
            yield span
        except BaseException as error:
            # No stack: it may show what a message or a secret holds.
            span.entity.add_fault_flag()
            span.entity.put_annotation("error", type(error).__name__)
            raise
        finally:
            _current.reset(token)
            span.entity.close()

    def _decide(self, context: TraceContext) -> TraceContext:
        if context.sampled is False:
            return context
        return decided(
            context, now=self._clock.now(), chance=self._chance.bits(128), rate=self._rate
        )

    @cached_property
    def _sdk(self) -> "_Sdk":
        return _Sdk(self._daemon)


class _Sdk:
    """The library's entities and its way to the daemon."""

    def __init__(self, daemon: str) -> None:
        # It would log each datagram that could not be sent.
        logging.getLogger("aws_xray_sdk").setLevel(logging.CRITICAL)
        from aws_xray_sdk.core import xray_recorder
        from aws_xray_sdk.core.models.facade_segment import FacadeSegment
        from aws_xray_sdk.core.models.segment import Segment
        from aws_xray_sdk.core.models.subsegment import Subsegment

        # Its recorder has opened a socket; a second one would have no use.
        self._emitter = xray_recorder.emitter
        self._emitter.set_daemon_address(daemon)
        self._segment, self._facade, self._subsegment = Segment, FacadeSegment, Subsegment

    def segment(self, name: str, context: TraceContext) -> Any:
        return self._segment(name, traceid=context.root, parent_id=context.parent or None)

    def step(self, name: str, segment: Any) -> Any:
        return self._subsegment(name, "local", segment)

    def below(self, name: str, context: TraceContext) -> tuple[Any, Any]:
        facade = self._facade(name, context.parent, context.root, sampled=True)
        step = self._subsegment(name, "local", facade)
        facade.add_subsegment(step)
        return facade, step

    def send(self, entity: Any) -> None:
        self._emitter.send_entity(entity)


def tracing_of(settings: Settings, ambient: Callable[[], str] = str) -> Tracing:
    """Return the tracing of a process; `ambient` as in `Tracing`."""
    return Tracing(
        settings.trace_rate,
        SystemClock(),
        SystemChance(),
        daemon=settings.xray_daemon,
        ambient=ambient,
    )


def followed(handler: H, name: str, tracing: Callable[[], Tracing]) -> H:
    """Return a Lambda `handler` whose invocations are followed."""

    def run(event: Any, context: Any) -> Any:
        with tracing().invocation(name):
            return handler(event, context)

    return cast("H", run)


def traced(inner: T, name: str, tracing: Tracing) -> T:
    """Return `inner` with a step around each call of its methods."""
    return cast("T", Traced(inner, name, tracing))


class Traced:
    """Any port with a step around each call of its methods, named `<name>.<method>`.

    Attributes that are no functions pass through.
    """

    def __init__(self, inner: Any, name: str, tracing: Tracing) -> None:
        self._inner = inner
        self._name = name
        self._tracing = tracing

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._inner, attribute)
        if not callable(found):
            return found
        wrapped = self._wrapped(found, f"{self._name}.{attribute}")
        self.__dict__[attribute] = wrapped
        return wrapped

    def _wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with self._tracing.step(name):
                return function(*arguments, **named)

        return call
