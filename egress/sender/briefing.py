"""Looks up what decides where a delivery may go, before it is claimed."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from egress.core.engine.work import Offer
from egress.core.mx import MxAnswer, a_label
from egress.core.tls_policy import HostPolicy
from egress.sender.carrier import Way
from egress.sender.copies import Submissions, TenantSource
from egress.sender.holds import is_simulated
from egress.sender.tenants import Tenant
from mailroom.domain.message import ServerId, Submission, WakeUp, is_bulk
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.source import HOST_POOL

_MOST_SUBMISSIONS = 5_000
_MOST_OCTETS = 64 * 1024 * 1024  # of bodies that submissions carry


class Pools(Protocol):
    """Which pools a message may go out through."""

    def of(
        self, submission: Submission, tenant: Tenant, recipient: str
    ) -> Awaitable[tuple[str, ...]]:
        """Return them, the first by choice."""


class HostPool:
    """For hosts without pools: everything goes out from the host's own address."""

    async def of(self, submission: Submission, tenant: Tenant, recipient: str) -> tuple[str, ...]:
        """See Pools.of."""
        return (HOST_POOL,)


@dataclass(frozen=True, slots=True)
class Brief:
    """A delivery that waits for a connection, and the way to its hosts."""

    offer: Offer
    way: Way


@dataclass(frozen=True, slots=True)
class Direct:
    """A delivery that needs no connection: nothing is sent, or `answer` says why not.

    `answer` None leaves it to the copier, which holds, simulates or refuses it.
    """

    answer: MxAnswer | None = None


class KeptSubmissions:
    """Submissions read once while their recipients are worked on, bounded by count and size."""

    def __init__(self, source: Submissions) -> None:
        self._source = source
        self._kept: OrderedDict[tuple[ServerId, int], Submission] = OrderedDict()
        self._octets = 0

    async def submission(self, server: ServerId, number: int) -> Submission | None:
        """Return the submission if it is committed."""
        place = (server, number)
        found = self._kept.get(place)
        if found is not None:
            self._kept.move_to_end(place)
            return found
        found = await self._source.submission(server, number)
        if found is not None and place not in self._kept:
            self._kept[place] = found
            self._octets += _octets(found)
            while len(self._kept) > _MOST_SUBMISSIONS or self._octets > _MOST_OCTETS:
                _, dropped = self._kept.popitem(last=False)
                self._octets -= _octets(dropped)
        return found

    def forget(self, server: ServerId, number: int) -> None:
        """Drop a submission whose only delivery is done with."""
        if (dropped := self._kept.pop((server, number), None)) is not None:
            self._octets -= _octets(dropped)


def _octets(submission: Submission) -> int:
    return len(submission.body.inline or b"")


@dataclass(frozen=True, slots=True)
class Briefing:
    """Answers from caches where it can."""

    submissions: Submissions
    tenants: TenantSource
    resolve: Callable[[ServerId, str], Awaitable[MxAnswer]]
    site_of: Callable[[str, MxAnswer], Site]
    pools: Pools = field(default_factory=HostPool)
    policy: Callable[[str], Awaitable[HostPolicy | None]] | None = None

    async def of(self, wake_up: WakeUp) -> Brief | Direct:
        """Return where a delivery may go. Raises what AWS and the directory raise."""
        key = wake_up.key
        submission = await self.submissions.submission(key.server, key.number)
        if submission is None:
            return Direct()
        tenant = await self.tenants.of(submission)
        if tenant is None or _needs_no_way(submission, tenant):
            return Direct()
        domain = wake_up.recipient.rpartition("@")[2]
        # A task for what may take long: the others nearly always answer from memory.
        looking = asyncio.ensure_future(self._policy(domain)) if self.policy else None
        try:
            answer = await self.resolve(key.server, domain)
            pools = await self.pools.of(submission, tenant, wake_up.recipient)
            policy = await looking if looking else None
        except BaseException:
            if looking:
                looking.cancel()
            raise
        if answer.refusal is not None or not answer.targets:
            return Direct(answer)
        job = _facts(submission, tenant, wake_up, pools, _lane(submission, wake_up))
        site = self.site_of(_label(domain), answer)
        group = group_of(answer, policy)
        return Brief(Offer(job, site, group), Way(answer, _label(domain), policy))

    async def _policy(self, domain: str) -> HostPolicy | None:
        return await self.policy(_label(domain)) if self.policy is not None else None


def group_of(answer: MxAnswer, policy: HostPolicy | None) -> str:
    """Return a short name for the hosts of an answer: mail of one group shares connections.

    A relay's mail is shared with nobody who has another login; a domain that demands verified TLS
    has connections of its own, because others may lack it.
    """
    relay = answer.relay
    parts = [answer.site]
    if relay is not None:
        parts.append(f"{relay!r}\n{relay.login.secret if relay.login else ''}")
    if policy is not None and (policy.enforced or policy.tested):
        parts.append(f"sts {policy.domain}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _needs_no_way(submission: Submission, tenant: Tenant) -> bool:
    """Say what ends before any host is asked. A hold that a person may have lifted is not that."""
    server = tenant.server
    if is_simulated(submission, server) or tenant.signing_key is None:
        return True
    return bool(server.suspended or server.braked)


def _facts(
    submission: Submission,
    tenant: Tenant,
    wake_up: WakeUp,
    pools: tuple[str, ...],
    lane: LaneClass,
) -> JobFacts:
    return JobFacts(
        key=wake_up.key,
        generation=wake_up.generation,
        recipient=wake_up.recipient,
        tenant=submission.server,
        organisation=tenant.server.organisation,
        lane=lane,
        sign_domain=submission.sign_domain,
        from_address=submission.from_address,
        size=submission.size,
        pools=pools or (HOST_POOL,),
        accepted_at=submission.accepted_at,
        expires_at=submission.expires_at,
        campaign=submission.tag or "",
        credential=submission.credential,
        stream=submission.stream,
        sticky=wake_up.sticky,
    )


def _lane(submission: Submission, wake_up: WakeUp) -> LaneClass:
    bulk = wake_up.bulk or is_bulk(submission.stream)
    return LaneClass.BULK if bulk else LaneClass.TRANSACTIONAL


def _label(domain: str) -> str:
    try:
        return a_label(domain)
    except ValueError:
        return domain.lower()
