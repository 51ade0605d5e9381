"""What counts on a host for its paths: settings, limits and sites, by the shaping in force."""

from collections.abc import Callable, Sequence

from egress.core.mx import MxAnswer
from mailroom.domain.provider import OTHER
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.settings import AddressLimits, PathSettings
from mailroom.domain.shaping.layers import (
    Effective,
    ShapingSet,
    SharedKey,
    address_limits_for,
    effective,
    shared_limits_for,
)
from mailroom.domain.shaping.providers import SMTP_PORT, site_of


class PathShaping:
    """See egress.sender.fleet_world.Shaper: always by the shaping set in force."""

    def __init__(self, current: Callable[[], ShapingSet]) -> None:
        """Take what returns the shaping set in force (egress.documents knows it)."""
        self._current = current

    def settings(self, site: Site, pool: str, address: str) -> PathSettings:
        """See Shaper.settings."""
        return self.explained(site, pool, address).settings

    def explained(self, site: Site, pool: str, address: str) -> Effective:
        """Return the settings of a path, and which layer each comes from."""
        shaping = self._current()
        return effective(shaping, provider=site.provider, site=site.key, pool=pool, address=address)

    def address_limits(self, pool: str, address: str) -> AddressLimits:
        """See Shaper.address_limits."""
        return address_limits_for(self._current(), pool=pool, address=address)

    def shared_keys(self, job: JobFacts, site: Site, pool: str = "") -> Sequence[SharedKey]:
        """See Shaper.shared_keys. `pool` is the one it leaves by; the job's first choice if ""."""
        return shared_limits_for(
            self._current(),
            pool=pool or (job.pools[0] if job.pools else ""),
            provider=site.provider,
            sign_domain=job.sign_domain,
            tenant=job.tenant,
            campaign=job.campaign,
        )

    def site_of(self, domain: str, answer: MxAnswer) -> Site:
        """Return the site of an answer for a domain (an A-label). A relay is a site of its own."""
        if answer.relay is not None:
            return Site(f"relay:{answer.relay.host}:{answer.relay.port}", OTHER)
        shaping = self._current()
        targets = tuple(target.host for target in answer.targets)
        port = answer.targets[0].port if answer.targets else SMTP_PORT
        return site_of(domain, answer.best, targets, shaping.rules, port=port, own=shaping.domains)
