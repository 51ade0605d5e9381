"""Which pool a message goes out through, and which ones may take it when that one may not.

Asked in this order: what the message itself names, the rules of its server and those of its
organisation (newer ones first), the pool of its stream, that of its server, that of its
organisation, the platform's default. A pool that is gone, or that the organisation may not use
any more, is passed over.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.sending.source import HOST_POOL, Fleet

MAX_POOLS = 4  # the chosen one and those it overflows into


@dataclass(frozen=True, slots=True)
class ChoiceFacts:
    """What of a delivery decides about its pool. `pool` is what it names itself, "" for none.

    `from_address` is the author's (the From header's), `recipient` is where it goes.
    """

    organisation: str
    from_address: str
    recipient: str
    tags: tuple[str, ...] = ()
    credential: str = ""
    stream: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class PoolRule:
    """A rule; it matches what meets any of its conditions. `id` sorts by when it was made.

    Senders and recipients are whole addresses or domains alone, in lower case.
    """

    id: str
    pool: str
    senders: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    credentials: frozenset[str] = frozenset()
    streams: frozenset[str] = frozenset()

    def matches(self, mail: ChoiceFacts) -> bool:
        """Say whether a delivery meets one of the conditions."""
        return (
            mail.stream in self.streams
            or mail.credential in self.credentials
            or not self.tags.isdisjoint(mail.tags)
            or not self.senders.isdisjoint(spellings(mail.from_address))
            or not self.recipients.isdisjoint(spellings(mail.recipient))
        )


@dataclass(frozen=True, slots=True)
class PoolRuleSet:
    """What is configured for one server's mail. Pools are ids, "" for none.

    `server` and `organisation` are rules, the newest first; `streams` are pools by stream.
    """

    server: tuple[PoolRule, ...] = ()
    organisation: tuple[PoolRule, ...] = ()
    streams: Mapping[str, str] = field(default_factory=dict)
    server_pool: str = ""
    organisation_pool: str = ""


def choose_pools(mail: ChoiceFacts, rules: PoolRuleSet, fleet: Fleet) -> tuple[str, ...]:
    """Return the ids of the pools a delivery may go out through: the chosen one, then overflow.

    Overflow is followed until it ends, comes round or MAX_POOLS are named. Where nothing is
    configured it is HOST_POOL alone; a pool that has no address is chosen all the same.
    """
    for pool in _wishes(mail, rules, fleet):
        if pool == HOST_POOL:
            return (HOST_POOL,)
        facts = fleet.pools.get(pool)
        if facts is not None and facts.serves(mail.organisation):
            return overflow_chain(pool, fleet)
    return (HOST_POOL,)


def overflow_chain(pool: str, fleet: Fleet) -> tuple[str, ...]:
    """Return a pool and those its mail overflows into; whom these serve is not asked."""
    chain: list[str] = []
    while pool in fleet.pools and pool not in chain and len(chain) < MAX_POOLS:
        chain.append(pool)
        pool = fleet.pools[pool].overflow
    return tuple(chain)


def load_rule(id_: str, body: Mapping[str, Any]) -> PoolRule:
    """Read a rule as the register keeps it; conditions that are not there are empty."""
    return PoolRule(
        id=id_,
        pool=body["pool"],
        senders=_conditions(body.get("from")),
        recipients=_conditions(body.get("to")),
        tags=frozenset(body.get("tags") or ()),
        credentials=frozenset(body.get("credentials") or ()),
        streams=frozenset(body.get("streams") or ()),
    )


def newest_first(rules: Iterable[PoolRule]) -> tuple[PoolRule, ...]:
    """Return rules in the order in which they are asked."""
    return tuple(sorted(rules, key=lambda rule: rule.id, reverse=True))


def spellings(address: str) -> Iterator[str]:
    """Yield what a condition may call an address: itself, without its `+detail`, its domain."""
    address = address.lower()
    local, at, domain = address.rpartition("@")
    yield address
    if at:
        yield domain
        yield f"{local.partition('+')[0]}@{domain}"


def _conditions(given: Iterable[str] | None) -> frozenset[str]:
    return frozenset(each.strip().lower().removeprefix("@") for each in given or ())


def _wishes(mail: ChoiceFacts, rules: PoolRuleSet, fleet: Fleet) -> Iterator[str]:
    yield mail.pool
    yield from (rule.pool for rule in rules.server if rule.matches(mail))
    yield from (rule.pool for rule in rules.organisation if rule.matches(mail))
    yield rules.streams.get(mail.stream, "")
    yield rules.server_pool
    yield rules.organisation_pool
    yield fleet.default
