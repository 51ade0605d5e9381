"""aiosmtplib's protocol with replies counted against one write, so commands can be pipelined."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from aiosmtplib.errors import SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from egress.core.replies import MalformedReplyError, take_reply
from mailroom.domain.reply import SmtpReply

SERVICE_CLOSING = 421  # may answer any command and ends the session (RFC 5321 section 3.8)


@dataclass(frozen=True, slots=True)
class Step:
    """One reply to come: the phase it answers and how many seconds it may take."""

    phase: str
    timeout: float


class PipelinedProtocol(SMTPProtocol):
    """Awaits several replies to one write (RFC 2920) and tells exactly which one is missing.

    The library pairs one reply with one command, drops whatever comes unasked, and leaves a
    timed-out connection open. Here each write names its `Step`s; a time-out, a malformed reply
    or a byte nobody asked for ends the connection, because nothing after it can be trusted.
    STARTTLS stays the library's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, banner: Step) -> None:
        super().__init__(loop=loop)
        self._banner = banner
        self._steps: deque[Step] = deque()
        self._replies: list[SmtpReply] = []
        self._done: asyncio.Future[list[SmtpReply]] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.greeting: asyncio.Future[list[SmtpReply]] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()
        self.in_step = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect the banner at once: it may come before anybody asks for it."""
        super().connection_made(transport)
        self._response_pending = False
        self.greeting = self.expect(self._banner)
        self.arm()

    async def exchange(self, payload: bytes, *steps: Step) -> list[SmtpReply]:
        """Write `payload` and return the replies to `steps`, in order.

        The list ends early after a 421, or with a reply of code 0 for the first step that got
        none; both end the connection. Cancellation ends it too.
        """
        if not self.is_connected:
            return [SmtpReply(0, "connection lost", steps[0].phase)]
        done = self.expect(*steps)
        self.write(payload)
        self.arm()
        return await self.outcome(done)

    def expect(self, *steps: Step) -> asyncio.Future[list[SmtpReply]]:
        """Pair the replies that come from now on with `steps`; `arm` starts the clock.

        Raises RuntimeError while earlier replies are outstanding.
        """
        if self._done is not None and not self._done.done():
            raise RuntimeError("a reply is still outstanding on this connection")
        self._steps, self._replies = deque(steps), []
        self._done = self._loop.create_future()
        return self._done

    def arm(self) -> None:
        """Start the clock of the step that is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._steps and self._done is not None and not self._done.done():
            self._timer = self._loop.call_later(self._steps[0].timeout, self._time_out)

    async def outcome(self, done: asyncio.Future[list[SmtpReply]]) -> list[SmtpReply]:
        """Return what `expect` promised. Cancellation ends the connection."""
        try:
            return await done
        except asyncio.CancelledError:
            self.abort()
            raise

    async def drain(self, seconds: float) -> bool:
        """Wait until the transport takes more; False if the peer is gone or needs longer."""
        if not self._paused:
            return self.is_connected
        try:
            async with asyncio.timeout(seconds):
                await self._drain_helper()
        except OSError:  # TimeoutError is one as well
            self.abort()
        return self.is_connected

    @property
    def tls_facts(self) -> tuple[str, str]:
        """The TLS version and cipher in use, two empty texts without TLS."""
        tls = self.transport.get_extra_info("ssl_object") if self.transport else None
        if tls is None:
            return "", ""
        cipher = tls.cipher()
        return tls.version() or "", cipher[0] if cipher else ""

    def abort(self) -> None:
        """Hang up now."""
        if self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    def farewell(self, timeout: float) -> None:
        """Say QUIT and hang up when it is answered, or after `timeout` seconds. Returns at once."""
        if not self.is_connected or (self._done is not None and not self._done.done()):
            self.abort()
            return
        done = self.expect(Step("QUIT", timeout))
        done.add_done_callback(lambda _: self.abort())
        self.write(b"QUIT\r\n")
        self.arm()

    def data_received(self, data: bytes) -> None:
        """Pair what came with the awaited steps."""
        if self._done is None or self._done.done():
            if self._response_pending:  # the library's own STARTTLS
                super().data_received(data)
            else:
                self.in_step = False
                self.abort()
            return
        self._buffer += data
        try:
            taken = self._take_replies()
        except MalformedReplyError as error:
            self._finish(str(error))
            return
        if not self._steps:
            self._finish("")
        elif taken:
            self.arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer the steps nobody will answer any more."""
        super().connection_lost(exc)
        self._finish("connection lost" if exc is None else f"connection lost: {exc}")
        if not self.lost.done():
            self.lost.set_result(None)

    def _take_replies(self) -> bool:
        taken = False
        while self._steps and (reply := take_reply(self._buffer)) is not None:
            code, text = reply
            self._replies.append(SmtpReply(code, text, self._steps.popleft().phase))
            taken = True
            if code == SERVICE_CLOSING:
                self._steps.clear()
                self.in_step = False
        return taken

    def _time_out(self) -> None:
        self._finish(f"no reply within {self._steps[0].timeout:g} s")

    def _finish(self, trouble: str) -> None:
        """Hand over the replies; if steps are left, `trouble` is why they stay unanswered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._done is None or self._done.done():
            return
        if self._steps:
            self._replies.append(SmtpReply(0, trouble, self._steps[0].phase))
            self._steps.clear()
            self.in_step = False
        elif self._buffer:
            self.in_step = False
        self._done.set_result(self._replies)
        if not self.in_step:
            self.abort()

    def _read_response_from_buffer(self) -> SMTPResponse | None:
        """Read strictly where the library is lax (it takes `1_0` for a code)."""
        try:
            reply = take_reply(self._buffer)
        except MalformedReplyError as error:
            raise SMTPResponseException(-1, str(error)) from None
        return SMTPResponse(*reply) if reply else None


def first_unlike(replies: Sequence[SmtpReply], wanted: Sequence[int]) -> SmtpReply | None:
    """Return the first reply whose code does not begin with its `wanted` digits, or None.

    `wanted` holds 2 for "any 2xx" or a whole code such as 354.
    """
    for reply, want in zip(replies, wanted, strict=False):
        if want not in (reply.code, reply.code // 100):
            return reply
    return None
