"""The shaping and the reply rules in force on a host, and the sites they make of MX answers."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from egress.core.mx import MxAnswer
from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.provider import OTHER, provider_of
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.ports.control import Control


class Shaping:
    """See fleet_world.Shaper."""

    def __init__(
        self,
        control: Control,
        name: str,
        *,
        now: Callable[[], float],
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        """Take the name of the shipped set to begin with; `changed` hears of newer ones."""
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
        self.rules: RuleBook = shipped_reply_rules()
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
