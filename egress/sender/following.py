"""Attempts as X-Ray segments: the trace of the accepting request goes on to the SMTP reply.

A retry is woken without a trace header and so begins a trace of its own; the delivery's id, an
annotation of every segment, joins them.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, cast

from egress.sender.attempt import Book, Desk, Send
from egress.sender.copies import Copier, Copy
from egress.sender.exchange import Exchanged
from mailroom.adapters.xray import Span, Traced, Tracing
from mailroom.domain.message import WakeUp

SEGMENT = "mailroom-sender"


def follow(spans: Tracing) -> Callable[[WakeUp], AbstractContextManager[Span]]:
    """Return what opens the segment of a wake-up."""

    def segment(wake_up: WakeUp) -> AbstractContextManager[Span]:
        key = wake_up.key
        return spans.segment(SEGMENT, wake_up.trace, delivery=str(key), server=key.server)

    return segment


class _Waited(Traced):
    """Follows coroutine functions to their end."""

    def _wrapped(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            with self._tracing.step(name):
                return await function(*arguments, **named)

        return call


def followed_desk(desk: Desk, spans: Tracing) -> Desk:
    """Return `desk` with a step around everything an attempt waits for."""
    return replace(
        desk,
        book=cast("Book", _Waited(desk.book, "book", spans)),
        copier=cast("Copier", _Waited(desk.copier, "copier", spans)),
    )


def followed_send(spans: Tracing) -> Callable[[Send], Send]:
    """Return what puts a step around the SMTP transaction."""

    def followed(send: Send) -> Send:
        async def sent(
            copy: Copy,
            recipient: str,
            *,
            before_dot: Callable[[], Awaitable[None]],
            after_dot: Callable[[], None],
        ) -> Exchanged:
            with spans.step("smtp") as span:
                found = await send(copy, recipient, before_dot=before_dot, after_dot=after_dot)
                reply = found.reply
                span.annotate(code=reply.code, phase=str(reply.phase), mx=found.mx, tls=found.tls)
                return found

        return sent

    return followed
