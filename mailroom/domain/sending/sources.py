"""How pools and source addresses are spelled in the rows that hosts read.

All of them are in one partition of the directory, so that a host reads them with one query.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mailroom.domain.sending.source import AddressState, Fleet, PoolFacts, SourceAddress
from mailroom.domain.tenancy.record import Place, Record

PARTITION = "sources"
_POOL, _ADDRESS = "pool#", "address#"


def pool_row(id_: str, fields: Mapping[str, Any]) -> Record:
    """Return the row of a pool with these fields."""
    names = ("name", "purpose", "overflow", "prefer_ipv6", "organisations", "default")
    return Record(Place(PARTITION, f"{_POOL}{id_}"), _given(fields, names))


def address_row(id_: str, pool: str, fields: Mapping[str, Any]) -> Record:
    """Return the row of an address of a pool (its id)."""
    names = ("hostname", "ipv4", "ipv6", "private", "weight", "state", "plan", "host")
    return Record(Place(PARTITION, f"{_ADDRESS}{id_}"), {"pool": pool, **_given(fields, names)})


def load_fleet(records: Iterable[Record]) -> Fleet:
    """Read all rows of the partition; what a row does not have has its default."""
    pools: list[PoolFacts] = []
    addresses: list[SourceAddress] = []
    for record in records:
        sort = record.place.sort
        if sort.startswith(_POOL):
            pools.append(_pool(sort.removeprefix(_POOL), record.body))
        elif sort.startswith(_ADDRESS):
            addresses.append(_address(sort.removeprefix(_ADDRESS), record.body))
    addresses.sort(key=lambda each: each.id)
    return Fleet({pool.id: pool for pool in pools}, tuple(addresses))


def _given(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _pool(id_: str, body: Mapping[str, Any]) -> PoolFacts:
    owners = body.get("organisations")
    return PoolFacts(
        id=id_,
        purpose=body.get("purpose", "mixed"),
        overflow=body.get("overflow") or "",
        prefer_ipv6=bool(body.get("prefer_ipv6")),
        name=body.get("name", ""),
        organisations=None if owners is None else frozenset(owners),
        default=bool(body.get("default")),
    )


def _address(id_: str, body: Mapping[str, Any]) -> SourceAddress:
    return SourceAddress(
        id=id_,
        pool=body["pool"],
        ehlo_name=body["hostname"],
        ipv4=body.get("ipv4") or "",
        ipv6=body.get("ipv6") or "",
        private=body.get("private") or "",
        weight=int(body.get("weight", 100)),
        state=AddressState(body.get("state", AddressState.COLD)),
        plan=body.get("plan") or "",
        host=body.get("host") or "",
    )
