"""Everything in `infra/resources.json`, made in the order that needs no second pass.

Running it again changes nothing. It is meant for the local stack; AWS gets the same resources
from `infra/terraform`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localstack.cloud.compute import (
    make_functions,
    make_host_policies,
    make_log_groups,
    make_mappings,
    make_roles,
    make_schedules,
)
from localstack.cloud.gateway import make_apis
from localstack.cloud.messaging import make_queues, make_topics
from localstack.cloud.scope import Options, Scope, Session
from localstack.cloud.storage import make_buckets, make_keys, make_tables
from localstack.resources import Resources

STEPS: tuple[tuple[str, Callable[[Scope], None]], ...] = (
    ("keys", make_keys),
    ("tables", make_tables),
    ("buckets", make_buckets),
    ("queues", make_queues),
    ("topics", make_topics),
    ("roles", make_roles),
    ("host policies", make_host_policies),
    ("log groups", make_log_groups),
    ("functions", make_functions),
    ("event source mappings", make_mappings),
    ("schedules", make_schedules),
)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What came to be: `addresses` by `kind:name` (see `naming.environment`), the endpoint of
    each API and the name of each function.
    """

    addresses: Mapping[str, str]
    endpoints: Mapping[str, str]
    functions: Mapping[str, str]


def provision(
    session: Session,
    resources: Resources,
    options: Options,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Provisioned:
    """Make all resources and say in `progress` what is being made.

    Raises botocore's ClientError when the cloud refuses something.
    """
    account = session.client("sts").get_caller_identity()["Account"]
    scope = Scope(session, resources, options, account)
    for title, step in STEPS:
        progress(title)
        step(scope)
    progress("APIs")
    endpoints = make_apis(scope)
    functions = {logical: scope.names.name(logical) for logical in resources.functions}
    return Provisioned(scope.addresses, endpoints, functions)
