"""Counts of protected and unprotected sessions by day, domain and policy, with bounds."""

from collections import Counter
from dataclasses import dataclass, field

from mailroom.domain.transport.tls_counts import MAX_FAILINGS, MAX_POLICIES, PolicyCounts
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing

MAX_DOMAINS = 20_000  # of one day; what comes above is not counted


@dataclass(slots=True)
class _Counted:
    succeeded: int = 0
    failed: Counter[Failing] = field(default_factory=Counter)


class TlsTally:
    """What was counted since the process began; a day is `2026-11-28`, in UTC."""

    def __init__(self, *, max_domains: int = MAX_DOMAINS) -> None:
        """Begin with nothing."""
        self._max_domains = max_domains
        self._days: dict[str, dict[str, dict[AppliedPolicy, _Counted]]] = {}
        self._changed: set[tuple[str, str]] = set()
        self.uncounted = 0  # sessions for which there was no room

    def add(
        self, day: str, domain: str, policy: AppliedPolicy, failing: Failing | None = None
    ) -> None:
        """Count one session, which succeeded unless something was `failing`."""
        domains = self._days.setdefault(day, {})
        if domain not in domains and len(domains) >= self._max_domains:
            self.uncounted += 1
            return
        policies = domains.setdefault(domain, {})
        if policy not in policies and len(policies) >= MAX_POLICIES:
            self.uncounted += 1
            return
        counted = policies.setdefault(policy, _Counted())
        self._changed.add((day, domain))
        if failing is None:
            counted.succeeded += 1
            return
        full = failing not in counted.failed and len(counted.failed) >= MAX_FAILINGS
        counted.failed[Failing(failing.result) if full else failing] += 1

    def take_changed(self) -> list[tuple[str, str]]:
        """Return the (day, domain)s that were counted since this was asked last."""
        changed = sorted(self._changed)
        self._changed.clear()
        return changed

    def put_back(self, day: str, domain: str) -> None:
        """Say that a change was not dealt with."""
        if domain in self._days.get(day, {}):
            self._changed.add((day, domain))

    def counts(self, day: str, domain: str) -> tuple[PolicyCounts, ...]:
        """Return all that was counted of a domain's day."""
        policies = self._days.get(day, {}).get(domain, {})
        return tuple(
            PolicyCounts(policy, counted.succeeded, dict(counted.failed))
            for policy, counted in policies.items()
        )

    def forget(self, day: str, domain: str) -> None:
        """Drop a domain's day."""
        domains = self._days.get(day, {})
        domains.pop(domain, None)
        if not domains:
            self._days.pop(day, None)
