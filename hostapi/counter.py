"""Serving one request: let in, body, app, answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from egress.submission.host import Network
from hostapi.body import ReceivedBody, receive
from hostapi.client import client_address
from hostapi.desk import Desk
from hostapi.event import event_of
from hostapi.limits import HttpLimits, Shares
from hostapi.refusal import RefusedError, busy, refusal
from hostapi.reply import Reply

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Setting:
    """What all requests share. `folder` is for large bodies, None for the system's own."""

    limits: HttpLimits
    desk: Desk
    new_id: Callable[[], str]
    proxies: Sequence[Network] = ()
    folder: Path | None = None


class Counter:
    """The request handler of all connections."""

    def __init__(self, setting: Setting) -> None:
        limits = setting.limits
        self._setting = setting
        self._busy: set[RequestHandler] = set()
        self._calm = asyncio.Event()
        self._closing = False
        self.held = Shares(limits.held, limits.held_per_client)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Raises ConnectionError when the client is gone."""
        fields = request.headers.getall("X-Forwarded-For", [])
        client = client_address(request.remote or "", fields, self._setting.proxies)
        with self._entered(request.protocol):
            try:
                async with self._reply(request, client) as reply:
                    response = reply.response(request.method)
                    return await self._handed_over(request, response, reply)
            except RefusedError as error:
                path = request.rel_url.raw_path
                refused = refusal(error, client=client, method=request.method, path=path)
                return await self._handed_over(request, refused, None)

    @property
    def busy(self) -> Collection[RequestHandler]:
        """The connections with a request under way."""
        return self._busy

    async def stop(self, grace: float) -> None:
        """Let what is under way finish, but no longer than `grace` seconds; each connection ends
        with its answer.
        """
        self._closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._busy:
                    self._calm.clear()
                    await self._calm.wait()

    @contextmanager
    def _entered(self, connection: RequestHandler) -> Iterator[None]:
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)
            self._calm.set()

    @asynccontextmanager
    async def _reply(self, request: web.BaseRequest, client: str) -> AsyncIterator[Reply]:
        """Call the app. A long reply has its share of what is held, as a body has."""
        reply = await self._called(request, client)
        octets = reply.octets if reply.is_long else 0
        try:
            if not self.held.take(client, octets):
                octets = 0
                raise busy(self._setting.limits.retry_after)
            yield reply
        finally:
            self.held.give_back(client, octets)
            reply.close()

    async def _called(self, request: web.BaseRequest, client: str) -> Reply:
        setting = self._setting
        if len(self._busy) > setting.limits.requests:
            raise busy(setting.limits.retry_after)
        body = ReceivedBody(
            client, self.held, in_memory=setting.limits.in_memory, folder=setting.folder
        )
        try:
            await self._received(request, body)
            event = event_of(request, body, client=client, request_id=setting.new_id())
            return await setting.desk.answer(event, large=body.is_large)
        finally:
            body.close()

    async def _received(self, request: web.BaseRequest, body: ReceivedBody) -> None:
        expected = request.headers.get("Expect", "").lower() == "100-continue"

        def go_on() -> None:
            # Not before it is known that the body may come (RFC 9110 section 10.1.1).
            if expected and request.transport is not None:
                request.transport.write(_CONTINUE)

        limits, announced = self._setting.limits, request.content_length
        await receive(request.content, body, limits, announced=announced, go_on=go_on)

    async def _handed_over(
        self, request: web.BaseRequest, answer: web.StreamResponse, reply: Reply | None
    ) -> web.StreamResponse:
        """Write the answer, a long one piece by piece, and give up on who does not take it."""
        if self._closing:
            answer.force_close()
        try:
            async with asyncio.timeout(self._setting.limits.answer_time):
                await answer.prepare(request)
                while reply and request.method != "HEAD" and (piece := reply.piece()):
                    await answer.write(piece)
                await answer.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not take its answer") from None
        return answer
