"""IP pools, their addresses, and the rules that choose a pool for a message."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.sending.sources import address_row, pool_row
from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique


def _name(_: str, fields: Mapping[str, Any]) -> str | None:
    return str(fields["name"]).lower()


def _ipv4(_: str, fields: Mapping[str, Any]) -> str | None:
    return fields.get("ipv4")


def _ipv6(_: str, fields: Mapping[str, Any]) -> str | None:
    return fields.get("ipv6")


def _pool_rows(pool: Resource) -> Sequence[Record]:
    return [pool_row(pool.id, pool.fields)]


def _address_rows(address: Resource) -> Sequence[Record]:
    return [address_row(address.id, address.parent.removeprefix("pool#"), address.fields)]


def _rule_rows(rule: Resource) -> Sequence[Record]:
    return [Record(Place(rule.parent, f"pool-rule#{rule.id}"), rule.fields)]


POOL = ResourceKind(
    name="pool",
    prefix="pool",
    most=1_000,
    unique=(Unique("name", _name), EXTERNAL_ID),
    runtime=_pool_rows,
)
POOL_ADDRESS = ResourceKind(
    name="address",
    prefix="ip",
    most=1_000,
    unique=(Unique("ipv4", _ipv4), Unique("ipv6", _ipv6), EXTERNAL_ID),
    runtime=_address_rows,
)
POOL_RULE = ResourceKind(
    name="pool_rule", prefix="pr", most=200, unique=(EXTERNAL_ID,), runtime=_rule_rows
)


def may_use(pool: Resource, organisation: str) -> bool:
    """Say whether an organisation may send from a pool: a shared one, or one of its own."""
    owners = pool.fields.get("organisations")
    return owners is None or organisation in owners
