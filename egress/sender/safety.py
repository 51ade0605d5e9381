"""Puts together what makes the connections of a sender safe, and counts how safe they were."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from egress.connecting import TlsPolicy, tls_context
from egress.opening import Opener, OpenerSettings
from egress.resolver import MxResolver
from egress.sender.host import Host
from egress.sts_fetch import AddressBook, StsFetcher
from egress.sts_policies import StsPolicies
from egress.tls_memory import KeptTlsMemory
from egress.tls_reports import TlsReports
from mailroom.ports.control import Control


@dataclass(frozen=True, slots=True)
class Safety:
    """The policies of domains, the memory of hosts, the reports, and who opens by them."""

    policies: StsPolicies
    memory: KeptTlsMemory
    reports: TlsReports
    opener: Opener


def safety_of(
    host: Host,
    resolver: MxResolver,
    control: Control,
    *,
    process: str,
    now: Callable[[], float],
) -> Safety:
    """Return the parts for one process. Raises OSError if the authorities cannot be read."""
    reports = TlsReports(resolver, control, process=process, now=now)
    fetcher = sts_fetcher(
        resolver, networks=host.networks, port=host.sts_port, authorities=host.authorities
    )
    memory = KeptTlsMemory(control, now=now)
    return Safety(
        policies=StsPolicies(resolver, fetcher, control, reports, now=now),
        memory=memory,
        reports=reports,
        opener=Opener(
            OpenerSettings(authorities=host.authorities),
            memory,
            clock=time.monotonic,
            watch=reports,
        ),
    )


def sts_fetcher(
    resolver: AddressBook, *, networks: tuple[str, ...], port: int, authorities: Path | None
) -> StsFetcher:
    """Return who fetches policies, from servers that `authorities` or the system vouch for."""
    tls = tls_context(TlsPolicy.VERIFIED, authorities, public=True)
    return StsFetcher(resolver, networks=networks, tls=tls, port=port)
