"""Hosts whose STARTTLS is broken, known to all our hosts: rows `tls`/<host> of the control table.

What one learned by a failed handshake spares the others the same failure for three days. Only
mail that may go in plain text looks here.
"""

import asyncio
import logging
from collections.abc import Callable

from egress.remembered import Remembered
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_result import TlsResult
from mailroom.ports.control import Control

PARTITION = "tls"
SECONDS = 3 * 86_400.0
REFRESH = 600.0  # seconds between two looks at what the others learned
_LIMIT = 10_000  # hosts
_PAGE = 1_000

log = logging.getLogger(__name__)


class KeptTlsMemory:
    """A TlsMemory. Answers come from memory; the table is read and written behind them."""

    def __init__(self, control: Control, *, now: Callable[[], float]) -> None:
        """Take the time in Unix seconds, of a clock that never jumps."""
        self._control = control
        self._now = now
        self._known: Remembered[str, TlsResult] = Remembered(SECONDS, clock=now, limit=_LIMIT)
        self._writing: set[asyncio.Task[None]] = set()

    def about(self, host: str, /) -> TlsResult | None:
        """See TlsMemory.about."""
        return self._known.about(host)

    def learn(self, host: str, result: TlsResult, /) -> None:
        """See TlsMemory.learn. The row is written in the background."""
        self._known.learn(host, result)
        log.info("STARTTLS is broken", extra={"mx": host, "result": str(result)})
        task = asyncio.create_task(self._write(host, result))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def load(self) -> None:
        """Learn what the table has; trouble with it is logged and changes nothing."""
        try:
            rows = await asyncio.to_thread(self._rows)
        except Exception:
            log.exception("hosts with broken TLS cannot be read")
            return
        for row in rows:
            fact = _fact(row)
            if row.expires_at is not None and row.expires_at > self._now():
                self._known.keep(row.place.sort, fact, row.expires_at)

    async def run(self) -> None:
        """Load now and again, until cancelled."""
        while True:
            await self.load()
            await asyncio.sleep(REFRESH)

    async def drain(self) -> None:
        """Wait until what was learned is written."""
        await asyncio.gather(*self._writing)

    async def _write(self, host: str, result: TlsResult) -> None:
        expires_at = self._now() + SECONDS
        row = Record(Place(PARTITION, host), {"result": str(result)}, expires_at=expires_at)
        try:
            await asyncio.to_thread(self._control.put, row)
        except Exception:
            log.exception("broken TLS of a host cannot be written", extra={"mx": host})

    def _rows(self) -> list[Record]:
        rows: list[Record] = []
        after = ""
        while len(rows) < _LIMIT:
            page = self._control.page(PARTITION, limit=_PAGE, after=after)
            rows += page.records
            after = page.after
            if not after:
                break
        return rows


def _fact(row: Record) -> TlsResult:
    try:
        return TlsResult(row.body.get("result", TlsResult.VALIDATION_FAILURE))
    except ValueError:  # written by a newer release
        return TlsResult.VALIDATION_FAILURE
