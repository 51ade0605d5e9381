"""A local SMTP sink that costs as little as Python can make it: `python -m bench.sink [PORT]`.

Answers everything with success, counts messages, prints its port; PIPELINING is honoured.
"""

import asyncio
import sys
from typing import cast

_END = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One connection: commands by line, messages up to the lone dot."""

    messages = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._buffer = b""
        self._in_message = False
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer all that has come in full."""
        self._buffer += data
        answers = []
        while True:
            mark = _END if self._in_message else b"\r\n"
            line, found, rest = self._buffer.partition(mark)
            if not found:
                break
            self._buffer = rest
            answers.append(self._answer(line))
        if answers:
            self._transport.write(b"".join(answers))

    def _answer(self, line: bytes) -> bytes:
        if self._in_message:
            self._in_message = False
            Sink.messages += 1
            return b"250 2.0.0 taken\r\n"
        verb = line[:4].upper()
        if verb == b"EHLO":
            return b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n"
        if verb == b"DATA":
            self._in_message = True
            return b"354 go on\r\n"
        return b"221 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 fine\r\n"


async def serve(port: int) -> None:
    """Listen on a loopback port until killed; 0 takes a free one."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    except ImportError:
        pass
    try:
        asyncio.run(serve(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except KeyboardInterrupt:
        sys.exit(0)
