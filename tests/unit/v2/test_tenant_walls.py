"""Nothing of one tenant is seen or changed with another's key, whatever the operation."""

import re
from typing import Any

import pytest
from mail_api.v2.operation import Operation
from mail_api.v2.table import OPERATIONS

from tests.support.furnished import Tenant, furnished
from tests.support.management import Management

UNKNOWN = "nothing"
OURS = [each for each in OPERATIONS if {"server", "organisation"} & set(each.parameters)]
DEEP = [each for each in OURS if set(each.parameters) - {"server", "organisation"}]
PLATFORM = [each for each in OPERATIONS if each not in OURS and str(each.scope) == "platform"]


@pytest.fixture(scope="module")
def platform() -> Management:
    return Management()


@pytest.fixture(scope="module")
def tenants(platform: Management) -> tuple[Tenant, Tenant]:
    alpha, beta, _ = furnished(platform)
    return alpha, beta


def state(platform: Management) -> dict[Any, Any]:
    """All that is stored but the audit log."""
    records = platform.registry._records
    return {place: r for place, r in records.items() if not place.partition.startswith("audit#")}


def filled(operation: Operation, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], UNKNOWN), operation.path)


def ask(platform: Management, operation: Operation, path: str, key: str) -> Any:
    body = None if operation.method == "GET" else {}
    return platform.ask(operation.method, path, body, key=key)


def named(operations: list[Operation]) -> Any:
    return pytest.mark.parametrize("operation", operations, ids=lambda each: each.id)


@pytest.mark.parametrize("kind", ["organisation", "server"])
@named(OURS)
def test_what_is_anothers_is_not_there(
    platform: Management, tenants: tuple[Tenant, Tenant], operation: Operation, kind: str
) -> None:
    alpha, beta = tenants
    before = state(platform)
    told = ask(platform, operation, filled(operation, alpha.ids), beta.keys[kind])
    unknown = ask(
        platform,
        operation,
        filled(operation, {"server": UNKNOWN, "organisation": UNKNOWN}),
        beta.keys[kind],
    )
    # As if it had never been: the same answer as for an id that nobody has.
    assert (told.status, told.json) == (404, unknown.json)
    assert state(platform) == before


@named(DEEP)
def test_anothers_things_are_not_found_under_ones_own_name(
    platform: Management, tenants: tuple[Tenant, Tenant], operation: Operation
) -> None:
    alpha, beta = tenants
    own = {name: beta.ids[name] for name in ("server", "organisation")}
    mixed = {**alpha.ids, **own}
    before = state(platform)
    told = ask(platform, operation, filled(operation, mixed), beta.keys["organisation"])
    inner = [n for n in operation.parameters if n not in ("server", "organisation", "stream")]
    if inner:  # streams are named alike in all servers
        assert told.status in (400, 404, 409, 413, 415, 422), told
        assert state(platform) == before
        for name in inner:
            assert alpha.ids.get(name, "\0") not in told.text


@named(PLATFORM)
def test_the_platforms_things_are_the_platforms(
    platform: Management, tenants: tuple[Tenant, Tenant], operation: Operation
) -> None:
    before = state(platform)
    for key in tenants[1].keys.values():
        told = ask(platform, operation, filled(operation, tenants[0].ids), key)
        assert told.status in (403, 404)
    assert state(platform) == before


@named([each for each in OPERATIONS if not each.public])
def test_without_a_key_nothing_is_answered(
    platform: Management, tenants: tuple[Tenant, Tenant], operation: Operation
) -> None:
    told = platform.ask(operation.method, filled(operation, tenants[0].ids), None, key=None)
    assert told.status == 401


@named([each for each in OURS if each.scope is not None])
def test_a_key_without_scopes_is_refused_what_is_its_own(
    platform: Management, tenants: tuple[Tenant, Tenant], operation: Operation
) -> None:
    alpha, _ = tenants
    key = platform.key(
        "organisation", id_="key_none", organisation=alpha.ids["organisation"], scopes=["x"]
    )
    told = ask(platform, operation, filled(operation, alpha.ids), key)
    assert (told.status, told.json["error"]["code"]) == (403, "forbidden")


def test_every_path_parameter_but_the_owners_is_looked_up_below_an_owner() -> None:
    loose = {"pool", "address", "deleted", "user", "key", "token", "job", "message", "recipient"}
    loose |= {"site", "order", "trace", "delivery", "version"}  # of the platform alone
    for each in OPERATIONS:
        if not {"server", "organisation"} & set(each.parameters) and not each.flat:
            assert set(each.parameters) <= loose, each.id
