"""Collects what TLS reports tell (RFC 8460): counted in memory, flushed to the control table.

Only domains that publish where they want reports get rows, `tlsrpt#<UTC day>`/<domain>#<process>;
each process overwrites its own with what it counted of that day. What a process counted since the
last flush is lost if it dies, which a report may bear.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from egress.core.mx import Lookup
from egress.core.tls_tally import TlsTally
from egress.remembered import Remembered
from egress.sts_policies import TextBook
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_counts import DomainCounts, dump_counts
from mailroom.domain.transport.tls_report_record import parse_report_record
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing
from mailroom.ports.control import Control

FLUSH = 600.0  # seconds
KEEP = 7 * 86_400.0  # seconds a row stays
_ASKED = 6 * 3_600.0  # seconds a domain's wish for reports is remembered
_AT_ONCE = 10

log = logging.getLogger(__name__)


class TlsReports:
    """A TlsWatch."""

    def __init__(
        self, dns: TextBook, control: Control, *, process: str, now: Callable[[], float]
    ) -> None:
        """Take the id of this process, unlike any other's, and the time in Unix seconds."""
        self._dns = dns
        self._control = control
        self._process = process
        self._now = now
        self._tally = TlsTally()
        self._wishes: Remembered[str, tuple[str, ...]] = Remembered(_ASKED, clock=now, limit=50_000)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        """See TlsWatch.succeeded."""
        self._tally.add(self._today(), domain, policy)

    def failed(self, domain: str, policy: AppliedPolicy, failing: Failing) -> None:
        """See TlsWatch.failed."""
        self._tally.add(self._today(), domain, policy, failing)

    async def run(self) -> None:
        """Flush now and again, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH)
            await self.flush()

    async def flush(self) -> None:
        """Write what changed. Trouble is logged, and what was not written is tried next time."""
        changed = self._tally.take_changed()
        await asyncio.gather(*(self._flush(*each) for each in changed))
        if self._tally.uncounted:
            log.warning("TLS sessions not counted", extra={"sessions": self._tally.uncounted})
            self._tally.uncounted = 0

    async def _flush(self, day: str, domain: str) -> None:
        async with self._turn:
            try:
                destinations = await self._destinations(domain)
                if destinations:
                    await asyncio.to_thread(self._control.put, self._row(day, domain, destinations))
            except Exception:
                log.exception("TLS counts cannot be written", extra={"domain": domain})
                self._tally.put_back(day, domain)
                return
        if not destinations or day != self._today():
            self._tally.forget(day, domain)

    async def _destinations(self, domain: str) -> tuple[str, ...]:
        known = self._wishes.about(domain)
        if known is None:
            found = await self._dns.texts(f"_smtp._tls.{domain}")
            known = parse_report_record(found.texts) if found.lookup is Lookup.FOUND else ()
            self._wishes.learn(domain, known)
        return known

    def _row(self, day: str, domain: str, destinations: tuple[str, ...]) -> Record:
        counts = DomainCounts(domain, destinations, self._tally.counts(day, domain))
        place = Place(f"tlsrpt#{day}", f"{domain}#{self._process}")
        return Record(place, dump_counts(counts), expires_at=self._now() + KEEP)

    def _today(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).date().isoformat()
