"""A receiving host that keeps what it is sent, for a peer to deliver to."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass
class Capture:
    """The messages that came, as they were on the wire."""

    port: int = 0
    messages: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:
        self.messages.append(bytes(envelope.content or b""))
        return "250 2.0.0 kept"


@contextmanager
def capturing() -> Iterator[Capture]:
    """Listen on a free loopback port, in a thread of its own."""
    capture, loop, ready = Capture(), asyncio.new_event_loop(), threading.Event()

    async def listen() -> asyncio.Server:
        server = await loop.create_server(lambda: SMTP(capture, loop=loop), "127.0.0.1", 0)
        capture.port = server.sockets[0].getsockname()[1]
        return server

    def serve() -> None:
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(listen())
        ready.set()
        loop.run_forever()
        server.close()
        loop.run_until_complete(server.wait_closed())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=serve, name="capture")
    thread.start()
    try:
        assert ready.wait(10)
        yield capture
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
