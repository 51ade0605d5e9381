"""STARTTLS on a connection that aiosmtpd's protocol already reads from.

The library's own way builds on a private class of asyncio and its buffer-discarding happens in a
second `connection_made`; `loop.start_tls` is public and works on uvloop too. The private names
below are those of asyncio's streams from 3.11 on; tests hold them in place.
"""

import asyncio
import ssl
from typing import Any

SHUTDOWN_SECONDS = 5.0  # how long a close waits for the peer's own


async def upgrade(
    protocol: asyncio.Protocol,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    context: ssl.SSLContext,
    *,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Do the server's side of the handshake and move both streams into it.

    What was received in clear and not read is dropped: commands injected behind STARTTLS must
    not run inside TLS (RFC 3207 section 5, CVE-2011-0411). Raises OSError (ssl.SSLError, a lost
    connection, a time-out) if the handshake fails; the connection is unusable then.
    """
    plain: Any = writer.transport
    streams: tuple[Any, Any] = (reader, writer)
    # No await from here to start_tls, so nothing can arrive between the two.
    streams[0]._buffer.clear()  # noqa: SLF001 - a StreamReader has no public way to drop octets
    transport = await asyncio.get_running_loop().start_tls(
        plain,
        protocol,
        context,
        server_side=True,
        ssl_handshake_timeout=handshake_seconds,
        ssl_shutdown_timeout=SHUTDOWN_SECONDS,
    )
    if transport is None:
        raise ConnectionResetError("the connection ended during the handshake")
    for stream in streams:
        stream._transport = transport  # noqa: SLF001 - StreamWriter.start_tls does just this
    return transport
