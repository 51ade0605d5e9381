"""Taking in a request's body: in memory while it is small, in a file without a name once not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Protocol

from aiohttp import web

from hostapi.limits import HttpLimits, Shares
from hostapi.refusal import RefusedError, busy, too_large

_CHUNK = 64 * 1024


class Source(Protocol):
    """Where a body comes from: aiohttp's StreamReader."""

    async def read(self, n: int, /) -> bytes:
        """Return at most `n` octets, none at the end."""


class ReceivedBody:
    """A body that has arrived; see `chalice_http.HeldBody`. Close it, or its share stays taken."""

    def __init__(self, client: str, shares: Shares, *, in_memory: int, folder: Path | None) -> None:
        self.octets = 0
        self._client = client
        self._shares = shares
        self._taken = 0
        self._in_memory = in_memory
        self._file = SpooledTemporaryFile(  # noqa: SIM115 - see close
            max_size=in_memory, dir=str(folder) if folder else None
        )

    @property
    def is_large(self) -> bool:
        """Whether it lies in a file."""
        return self.octets > self._in_memory

    def reserve(self, octets: int) -> bool:
        """Take a share for `octets` in all. Return False if there is no room."""
        more = octets - self._taken
        if more > 0 and not self._shares.take(self._client, more):
            return False
        self._taken = max(self._taken, octets)
        return True

    def add(self, octets: bytes) -> None:
        """Append a piece."""
        self._file.write(octets)
        self.octets += len(octets)

    def encode(self, _encoding: str) -> bytes:
        """See HeldBody.encode."""
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Drop it."""
        self._file.close()
        self._shares.give_back(self._client, self._taken)
        self._taken = 0


async def receive(
    source: Source,
    body: ReceivedBody,
    limits: HttpLimits,
    *,
    announced: int | None,
    go_on: Callable[[], None],
) -> None:
    """Read `source` to its end into `body`; `announced` is what Content-Length says. `go_on` is
    called before the first octet is waited for.

    Raises RefusedError: 413 over the limit, before reading if it is announced; 503 when all bodies
    together would be too much; 408 for a client that is too slow; 400 for broken chunks. Raises
    ConnectionError when the client is gone.
    """
    if announced is not None:
        if announced > limits.body:
            raise too_large(limits.body)
        if not body.reserve(announced):
            raise busy(limits.retry_after)
    go_on()
    try:
        async with asyncio.timeout(limits.body_time):
            await _read(source, body, limits)
    except TimeoutError:
        raise RefusedError(408, "RequestTimeoutError", "The body did not arrive in time.") from None
    except web.RequestPayloadError:
        raise RefusedError(400, "BadRequestError", "The body is broken.") from None


async def _read(source: Source, body: ReceivedBody, limits: HttpLimits) -> None:
    while True:
        async with asyncio.timeout(limits.body_pause):
            piece = await source.read(_CHUNK)
        if not piece:
            return
        if body.octets + len(piece) > limits.body:
            raise too_large(limits.body)
        if not body.reserve(body.octets + len(piece)):
            raise busy(limits.retry_after)
        body.add(piece)
