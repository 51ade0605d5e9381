"""The shaping and the reply rules in force on a host, and the sites they make of MX answers."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from egress.core.mx import MxAnswer
from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.provider import OTHER, provider_of
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.ports.control import Control


class Quickened:
    """Reply rules whose times are divided."""

    def __init__(self, book: RuleBook, divisor: float) -> None:
        self._book = book
        self._divisor = divisor
        self.version = book.version

    def judge(self, reply: SmtpReply, provider: str, /) -> Judgement:
        """See RuleBook.judge."""
        found = self._book.judge(reply, provider)
        if self._divisor == 1.0:
            return found
        by = self._divisor
        hint = found.retry_after
        return replace(
            found,
            actions=tuple(replace(each, seconds=each.seconds / by) for each in found.actions),
            retry_after=None if hint is None else hint / by,
        )


class Shaping:
    """See fleet_world.Shaper."""

    def __init__(
        self,
        control: Control,
        name: str,
        *,
        now: Callable[[], float],
        divisor: float = 1.0,
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the name of the shipped set to begin with; `changed` hears of newer ones.

        `divisor` shortens what the reply rules ask for, as all waits of the local stack.
        """
        self._control = control
        self._now = now
        self._settings = PathSettings(
            connections=20,
            start_connections=20,
            host_connections=20,
            connection_rate=None,
            message_rate=None,
        )
        self._changed = changed
        self.rules = Quickened(shipped_reply_rules(), divisor)
        self.version = name

    async def refresh(self) -> None:
        """Look for newer sets once."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look for newer sets until `stop`."""
        await stop.wait()

    def settings(self, site: Site, pool: str, address: str) -> PathSettings:
        """See Shaper.settings."""
        return self._settings

    def address_limits(self, pool: str, address: str) -> AddressLimits:
        """See Shaper.address_limits."""
        return AddressLimits()

    def shared_keys(self, job: JobFacts, site: Site) -> Sequence[Any]:
        """See Shaper.shared_keys."""
        return ()

    def site_of(self, domain: str, answer: MxAnswer) -> Site:
        """Return the site of an answer. A relay is a site of its own."""
        if answer.relay is not None:
            return Site(f"relay:{answer.relay.host}:{answer.relay.port}", OTHER)
        digest = sha256(answer.site.encode()).hexdigest()[:12]
        return Site(f"mx:{answer.targets[0].host}:{digest}", provider_of(domain))
