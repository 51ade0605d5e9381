"""The management API against its own description: no 5xx, no answer outside the schema."""

from functools import cache
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.api_wsgi import WsgiApi
from tests.support.furnished import Tenant, furnished
from tests.support.management import Management

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 12


def fresh() -> tuple[Management, Tenant]:
    platform = Management()
    alpha, _, _ = furnished(platform)
    return platform, alpha


schema = schemathesis.openapi.from_wsgi("/api/v2/openapi.json", WsgiApi(Management()))


@cache
def world(operation: str) -> tuple[Management, Tenant]:
    """A platform for each operation, since some delete what others look for."""
    return fresh()


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_described(case: schemathesis.Case) -> None:
    platform, tenant = world(f"{case.operation.method} {case.operation.path}")
    for name in case.path_parameters or {}:
        if name in tenant.ids:
            case.path_parameters[name] = tenant.ids[name]
    app = WsgiApi(platform)
    response = case.call(headers={"Authorization": f"Bearer {platform.root}"}, app=app)
    case.validate_response(response, checks=CHECKS)


def test_what_succeeds_is_as_described_too() -> None:
    platform, tenant = fresh()
    for name, path in COLLECTIONS.items():
        told = platform.ask("GET", path.format(**tenant.ids))
        assert told.status == 200, (name, told)
        assert told.json["data"], name
        item = platform.ask("GET", f"{path.format(**tenant.ids)}/{tenant.ids[name]}")
        assert item.status == 200


COLLECTIONS: dict[str, Any] = {
    name: f"/servers/{{server}}/{path}"
    for name, path in {
        "stream": "streams",
        "template": "templates",
        "endpoint": "endpoints",
        "route": "routes",
        "webhook": "webhooks",
        "rule": "pool-rules",
    }.items()
}


@pytest.mark.parametrize("method", ["PUT", "HEAD", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(method: str) -> None:
    platform, tenant = fresh()
    told = platform.ask(method, f"/servers/{tenant.ids['server']}")
    assert told.status == 405
