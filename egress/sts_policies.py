"""The MTA-STS policies of recipient domains: discovered, kept, refreshed (RFC 8461 section 3).

A policy lives in memory and in the row `sts`/<domain>, because its worth is that it is still
known when an attacker suppresses the record or the web server. It is fetched when the domain's
TXT record names one we do not have, and again once a day.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from egress.core.mx import Lookup, Texts, a_label
from egress.core.tls_policy import HostPolicy
from egress.opening import TlsWatch
from egress.sts_fetch import StsFetchError
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.sts import (
    StsMode,
    StsPolicy,
    dump_sts,
    load_sts,
    parse_sts_record,
)
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing
from mailroom.ports.control import Control

PARTITION = "sts"
PATIENCE = 10.0  # seconds that mail waits for what is looked up
_SHORTEST = 300.0  # seconds: no record is looked at, and no policy fetched, more often
_LONGEST = 3_600.0  # seconds a record is believed, whatever its TTL
_REFRESH_AGE = 86_400.0  # seconds; section 10.2 suggests once a day
_ROUND = 3_600.0  # seconds between two rounds of refreshing
_LIMIT = 20_000  # domains in memory
_STS = AppliedPolicy("sts")
_NAME = re.compile(r"[a-z0-9_.-]+\Z")

log = logging.getLogger(__name__)


class TextBook(Protocol):
    """Looks up TXT records (egress.resolver fulfils it)."""

    async def texts(self, name: str) -> Texts:
        """Return the TXT records of `name`."""


class Fetcher(Protocol):
    """Fetches the policy of a domain."""

    async def fetch(self, domain: str) -> StsPolicy:
        """Return what the domain publishes now. Raises StsFetchError."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is known of one domain; `id` and `fetched_at` belong to `policy`."""

    policy: StsPolicy | None = None
    id: str = ""
    fetched_at: float = 0.0
    look_at: float = 0.0  # when its record is looked at again
    fetch_at: float = 0.0  # when a fetch that failed may be repeated

    @property
    def expires_at(self) -> float:
        if self.policy is None:
            return 0.0
        return self.fetched_at + max(self.policy.max_age, _SHORTEST)

    def valid(self, now: float) -> StsPolicy | None:
        return self.policy if now < self.expires_at else None


class StsPolicies:
    """Answers what a domain demands. Trouble on the way is no policy, or the one still valid."""

    def __init__(
        self,
        dns: TextBook,
        fetcher: Fetcher,
        control: Control,
        watch: TlsWatch,
        *,
        now: Callable[[], float],
        patience: float = PATIENCE,
    ) -> None:
        """Take the time in Unix seconds, of a clock that never jumps, and seconds to wait."""
        self._patience = patience
        self._dns = dns
        self._fetcher = fetcher
        self._control = control
        self._watch = watch
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._looking: dict[str, asyncio.Task[_Kept]] = {}

    async def policy(self, domain: str) -> HostPolicy | None:
        """Return the policy that mail to `domain` is held to, None if it asks for nothing.

        Waits for the web server when a domain names a policy that is not known, but not for
        long: a fetch that takes longer goes on, and until then what was known before counts
        (RFC 8461 section 5.1 lets mail go meanwhile). Callers asking for the same domain at the
        same time share one look-up.
        """
        try:
            name = a_label(domain)
        except ValueError:
            return None
        if not _NAME.match(name):
            return None
        kept, now = self._kept.get(name), self._now()
        expired = kept is not None and kept.policy is not None and not kept.valid(now)
        if kept is None or kept.look_at <= now or expired:
            kept = await self._looked(name)
        policy = kept.valid(self._now())
        if policy is None or policy.mode is StsMode.NONE:
            return None
        return HostPolicy(name, policy)

    async def run(self) -> None:
        """Refresh what is old now and again, until cancelled."""
        while True:
            await asyncio.sleep(_ROUND)
            await self.refresh()

    async def refresh(self) -> None:
        """Fetch again the policies that are older than a day or half of their life.

        So an attacker who suppresses the record cannot wait until a policy has run out.
        """
        now = self._now()
        for name, kept in list(self._kept.items()):
            life = kept.expires_at - kept.fetched_at
            if kept.policy is not None and now - kept.fetched_at >= min(_REFRESH_AGE, life / 2):
                await self._looked(name, again=True)

    async def settled(self) -> None:
        """Wait until nothing is being looked up."""
        await asyncio.gather(*self._looking.values(), return_exceptions=True)

    async def close(self) -> None:
        """Stop the look-ups still running."""
        tasks = list(self._looking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _looked(self, name: str, *, again: bool = False) -> _Kept:
        looking = self._looking.get(name)
        if looking is None:
            looking = asyncio.create_task(self._look(name, again=again), name=f"sts-{name}")
            self._looking[name] = looking
            looking.add_done_callback(lambda _: self._looking.pop(name, None))
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.shield(looking)
        except TimeoutError:
            return self._kept.get(name, _Kept())

    async def _look(self, name: str, *, again: bool) -> _Kept:
        before = self._kept.get(name)
        kept = before or _Kept()
        asked = self._dns.texts(f"_mta-sts.{name}")
        if before is None or again:
            kept, texts = await asyncio.gather(self._stored(name, kept), asked)
        else:
            texts = await asked
        now = self._now()
        wait = min(max(texts.ttl, _SHORTEST), _LONGEST)
        id_ = parse_sts_record(texts.texts) if texts.lookup is Lookup.FOUND else None
        renewed = before is not None and kept.fetched_at > before.fetched_at  # by another host
        stale = kept.id != id_ or kept.valid(now) is None or (again and not renewed)
        if id_ and stale and now >= kept.fetch_at:
            kept = await self._fetched(name, id_, kept)
        if kept.valid(now) is None:
            kept = _Kept(fetch_at=kept.fetch_at)
        kept = replace(kept, look_at=now + wait)
        self._keep(name, kept)
        return kept

    async def _fetched(self, name: str, id_: str, kept: _Kept) -> _Kept:
        now = self._now()
        try:
            policy = await self._fetcher.fetch(name)
        except StsFetchError as error:
            self._watch.failed(name, _STS, Failing(error.result))
            log.warning(
                "an MTA-STS policy cannot be fetched",
                extra={"domain": name, "result": str(error.result), "problem": str(error)[:200]},
            )
            return replace(kept, fetch_at=now + _SHORTEST)
        fresh = replace(kept, policy=policy, id=id_, fetched_at=now)
        await self._store(name, fresh)
        return fresh

    async def _stored(self, name: str, kept: _Kept) -> _Kept:
        """Return what the table knows if that is newer."""
        try:
            row = await asyncio.to_thread(self._control.read, Place(PARTITION, name))
            if row is None or float(row.body["fetched_at"]) <= kept.fetched_at:
                return kept
            policy, id_ = load_sts(row.body["policy"]), str(row.body["id"])
            return replace(kept, policy=policy, id=id_, fetched_at=float(row.body["fetched_at"]))
        except Exception:
            log.exception("a kept MTA-STS policy cannot be read", extra={"domain": name})
            return kept

    async def _store(self, name: str, kept: _Kept) -> None:
        if kept.policy is None:
            return
        body = {"id": kept.id, "fetched_at": kept.fetched_at, "policy": dump_sts(kept.policy)}
        row = Record(Place(PARTITION, name), body, expires_at=kept.expires_at)
        try:
            await asyncio.to_thread(self._control.put, row)
        except Exception:
            log.exception("an MTA-STS policy cannot be kept", extra={"domain": name})

    def _keep(self, name: str, kept: _Kept) -> None:
        self._kept.pop(name, None)
        if len(self._kept) >= _LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[name] = kept
