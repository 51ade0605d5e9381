"""The counts behind a TLS report: what one host stores of a domain, and how several add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult

MAX_POLICIES = 5  # of one domain in one day
MAX_FAILINGS = 100  # kinds of failures under one policy
_MAX_LINES = 60  # of a policy that are stored and reported


@dataclass(frozen=True, slots=True)
class PolicyCounts:
    """Sessions held to one policy: those that were as it wants, and the others by what failed."""

    policy: AppliedPolicy
    succeeded: int
    failed: Mapping[Failing, int]


@dataclass(frozen=True, slots=True)
class DomainCounts:
    """One domain's day. `destinations` are the URIs it wants its report at."""

    domain: str
    destinations: tuple[str, ...]
    policies: tuple[PolicyCounts, ...]


def dump_counts(counts: DomainCounts) -> dict[str, Any]:
    """Return counts as JSON-ready values."""
    return {
        "domain": counts.domain,
        "rua": list(counts.destinations),
        "policies": [_dump_policy(each) for each in counts.policies],
    }


def _dump_policy(counts: PolicyCounts) -> dict[str, Any]:
    kind, lines, hosts = counts.policy
    return {
        "kind": kind,
        "lines": list(lines[:_MAX_LINES]),
        "hosts": list(hosts[:_MAX_LINES]),
        "succeeded": counts.succeeded,
        "failed": [[*map(str, failing), number] for failing, number in counts.failed.items()],
    }


def load_counts(body: Mapping[str, Any]) -> DomainCounts:
    """Read what `dump_counts` wrote.

    Raises ValueError, KeyError, TypeError or IndexError for anything else.
    """
    return DomainCounts(
        str(body["domain"]),
        tuple(map(str, body["rua"])),
        tuple(_load_policy(each) for each in body["policies"]),
    )


def _load_policy(body: Mapping[str, Any]) -> PolicyCounts:
    policy = AppliedPolicy(str(body["kind"]), tuple(body["lines"]), tuple(body["hosts"]))
    failed = {
        Failing(TlsResult(row[0]), *map(str, row[1:4])): int(row[4]) for row in body["failed"]
    }
    return PolicyCounts(policy, int(body["succeeded"]), failed)


def merged(counts: Iterable[DomainCounts]) -> DomainCounts:
    """Return the sum of what several hosts counted of one domain; at least one is given."""
    parts = list(counts)
    succeeded: Counter[AppliedPolicy] = Counter()
    failed: dict[AppliedPolicy, Counter[Failing]] = {}
    for each in (each for part in parts for each in part.policies):
        succeeded[each.policy] += each.succeeded
        failed.setdefault(each.policy, Counter()).update(each.failed)
    destinations = dict.fromkeys(uri for part in parts for uri in part.destinations)
    policies = tuple(
        PolicyCounts(policy, succeeded[policy], dict(failures))
        for policy, failures in failed.items()
    )
    return DomainCounts(parts[0].domain, tuple(destinations), policies)
