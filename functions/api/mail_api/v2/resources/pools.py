"""IP pools and addresses (the platform's), and the rules of tenants that choose among them."""

from collections.abc import Sequence
from typing import Any

from mail_api.v2.crud import Crud, Fields, flat, paged
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.pools import (
    Address,
    AddressCreate,
    AddressUpdate,
    Pool,
    PoolCreate,
    PoolUpdate,
    Rule,
    RuleCreate,
    RuleUpdate,
)
from mail_api.v2.operation import ApiError, Call, Operation, invalid
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS, POOL_RULE, may_use
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import NotFoundError


def require_pool(call: Call, pool: str | None) -> None:
    """See that a pool is there and the call's organisation may use it. Raises ApiError 422."""
    if pool is None:
        return
    try:
        found = call.desk.registrar.read(POOL, PLATFORM, pool)
    except NotFoundError:
        found = None
    if found is None or (call.target.organisation and not may_use(found, call.target.organisation)):
        raise invalid("pool", "there is no such pool")


def _pool_made(call: Call, fields: Fields) -> Fields:
    require_pool(call, fields.get("overflow"))
    return fields


def _pool_merged(call: Call, pool: Resource, fields: Fields) -> Fields:
    if fields.get("overflow") == pool.id:
        raise invalid("overflow", "a pool cannot overflow into itself")
    require_pool(call, fields.get("overflow"))
    return fields


def _keep_used(call: Call, pool: Resource) -> None:
    found, _ = call.desk.registrar.page(POOL_ADDRESS, f"pool#{pool.id}", limit=1)
    if found:
        raise ApiError(409, "not_empty", "The pool has addresses: move or delete them first")


def _in_pool(call: Call) -> str:
    pool = call.desk.registrar.read(POOL, PLATFORM, call.path["pool"])
    return f"pool#{pool.id}"


def _rule_made(call: Call, fields: Fields) -> Fields:
    require_pool(call, fields["pool"])
    return fields


def _rule_merged(call: Call, _: Resource, fields: Fields) -> Fields:
    require_pool(call, fields["pool"])
    if not any(fields.get(name) for name in ("from", "to", "tags", "credentials", "streams")):
        raise invalid("", "a rule needs a condition")
    return fields


def list_usable(call: Call) -> Any:
    """Those that the organisation may send from: the shared ones and its own."""

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(POOL, PLATFORM, limit=limit, after=after)
        usable = [each for each in found if may_use(each, call.target.organisation)]
        return [{**flat(each), "organisations": None} for each in usable], more

    return paged(call, read)


POOLS = Crud(
    kind=POOL,
    tag="pools",
    path="/pools",
    parameter="pool",
    view=Pool,
    create=PoolCreate,
    update=PoolUpdate,
    read_scope=Scope.PLATFORM,
    write_scope=Scope.PLATFORM,
    noun="pool",
    made=_pool_made,
    merged=_pool_merged,
    before_delete=_keep_used,
)
ADDRESSES = Crud(
    kind=POOL_ADDRESS,
    tag="addresses",
    path="/pools/{pool}/addresses",
    parameter="address",
    view=Address,
    create=AddressCreate,
    update=AddressUpdate,
    read_scope=Scope.PLATFORM,
    write_scope=Scope.PLATFORM,
    noun="source address",
    parent=_in_pool,
)


def _rules(path: str, tag: str) -> Crud:
    return Crud(
        kind=POOL_RULE,
        tag=tag,
        path=path,
        parameter="rule",
        view=Rule,
        create=RuleCreate,
        update=RuleUpdate,
        read_scope=Scope.POOLS_READ,
        write_scope=Scope.POOLS_WRITE,
        noun="pool rule",
        made=_rule_made,
        merged=_rule_merged,
    )


OPERATIONS: Sequence[Operation] = (
    *POOLS.operations,
    *ADDRESSES.operations,
    *_rules("/servers/{server}/pool-rules", "pool_rules").operations,
    *_rules("/organisations/{organisation}/pool-rules", "organisation_pool_rules").operations,
    Operation("pools.usable", "GET", "/organisations/{organisation}/pools",
              "List the pools an organisation may use", list_usable, Scope.POOLS_READ,
              answer=Page[Pool], query=Listing),
)  # fmt: skip
