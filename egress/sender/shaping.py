"""The shaping and the reply rules in force on a host, and the sites they make of MX answers."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from egress.core.mx import MxAnswer
from egress.documents import Documents
from mailroom.domain.provider import OTHER
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.domain.sending.slices import SharedKey
from mailroom.domain.sending.source import SourceAddress
from mailroom.domain.shaping.layers import address_limits_for, effective, shared_limits_for
from mailroom.domain.shaping.providers import domain_of, site_of
from mailroom.domain.warmup.plan import Plan, plan_named

_RELAY = "relay:"


class Quickened:
    """Reply rules whose times are divided, as all waits of the local stack are."""

    def __init__(self, book: RuleBook, divisor: float) -> None:
        self._book = book
        self._divisor = divisor

    def judge(self, reply: SmtpReply, provider: str, /) -> Judgement:
        """See RuleBook.judge. What a reply asks for itself is divided by the retry policy."""
        found = self._book.judge(reply, provider)
        if self._divisor == 1.0 or not found.actions:
            return found
        by = self._divisor
        actions = tuple(replace(each, seconds=each.seconds / by) for each in found.actions)
        return replace(found, actions=actions)


class Shaping:
    """See fleet_world.Shaper. Everything is answered from memory."""

    def __init__(self, documents: Documents, *, divisor: float = 1.0, port: int = 25) -> None:
        """Take how much shorter the times of reply rules are, and where receivers listen."""
        self._documents = documents
        self._divisor = divisor
        self._port = port

    @property
    def rules(self) -> Quickened:
        """The reply rules in force."""
        return Quickened(self._documents.rules, self._divisor)

    @property
    def rules_version(self) -> str:
        """Which they are."""
        return self._documents.rules_version

    @property
    def version(self) -> str:
        """Which shaping is in force."""
        return self._documents.shaping_version

    async def refresh(self) -> None:
        """Look for newer documents once."""
        await self._documents.refresh()

    async def run(self, stop: asyncio.Event) -> None:
        """Look for newer documents until `stop`."""
        await self._documents.run(stop)

    def plan(self, name: str) -> Plan:
        """Return a warm-up plan: one of the shaping's own, or a built-in one."""
        return plan_named(name, self._documents.shaping.plans)

    def plan_name(self, source: SourceAddress, group: str) -> str:
        """Return the plan that an address has with a group instead of its own, "" for none."""
        shaping = self._documents.shaping
        return effective(
            shaping, provider=group, site="", pool=source.pool, address=source.id
        ).warmup

    def settings(self, site: Site, pool: str, address: str) -> PathSettings:
        """See Shaper.settings."""
        return effective(
            self._documents.shaping,
            provider=site.provider,
            site=site.key,
            domain=domain_of(site.key),
            pool=pool,
            address=address,
        ).settings

    def address_limits(self, pool: str, address: str) -> AddressLimits:
        """See Shaper.address_limits."""
        return address_limits_for(self._documents.shaping, pool=pool, address=address)

    def shared_keys(self, job: JobFacts, site: Site) -> Sequence[SharedKey]:
        """See Shaper.shared_keys."""
        return shared_limits_for(
            self._documents.shaping,
            pool=job.pools[0],
            provider=site.provider,
            sign_domain=job.sign_domain,
            tenant=job.tenant,
            campaign=job.campaign,
        )

    def site_of(self, domain: str, answer: MxAnswer) -> Site:
        """Return the site that an answer makes for `domain` (A-labels). A relay is one itself."""
        relay = answer.relay
        if relay is not None:
            return Site(f"{_RELAY}{relay.host}:{relay.port}", OTHER)
        shaping = self._documents.shaping
        hosts = tuple(target.host for target in answer.targets)
        return site_of(
            domain, answer.best, hosts, shaping.rules, port=self._port, own=shaping.domains
        )
