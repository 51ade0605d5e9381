"""Roles, log groups, functions, event source mappings and schedules."""

import json
from pathlib import Path
from typing import Any

from localstack.cloud.scope import Scope, attempt
from localstack.naming import environment, host_policy, log_group, policy, trust
from localstack.resources import EventSource, Function

LOG_DAYS = 14
CONFLICT = ("ResourceConflictException",)
EXISTS = ("EntityAlreadyExists",)


def make_roles(scope: Scope) -> None:
    """Make each function's role with exactly what its access entries say."""
    iam = scope.client("iam")
    for logical in scope.resources.functions:
        name = scope.names.name(logical)
        document = json.dumps(trust("lambda"))
        attempt(EXISTS, iam.create_role, RoleName=name, AssumeRolePolicyDocument=document)
        allowed = json.dumps(policy(scope.resources, logical, scope.names))
        iam.put_role_policy(RoleName=name, PolicyName="access", PolicyDocument=allowed)


def make_host_policies(scope: Scope) -> None:
    """Make a policy for each process of a host; a host's role gets those of what it runs."""
    iam = scope.client("iam")
    for logical in scope.resources.hosts:
        name, wanted = scope.names.name(logical), host_policy(scope.resources, logical, scope.names)
        document = json.dumps(wanted)
        if attempt(EXISTS, iam.create_policy, PolicyName=name, PolicyDocument=document) is None:
            _renew(iam, scope.names.arn("policy", logical), wanted)


def _renew(iam: Any, arn: str, wanted: dict[str, Any]) -> None:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
    if found["Document"] != wanted:
        document = json.dumps(wanted)
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)  # IAM keeps five at most


def make_log_groups(scope: Scope) -> None:
    """Make the log groups before the functions, which would make them without an expiry."""
    logs = scope.client("logs")
    for logical in scope.resources.functions:
        group = log_group(scope.names.name(logical))
        attempt(("ResourceAlreadyExistsException",), logs.create_log_group, logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=LOG_DAYS)


def make_functions(scope: Scope) -> None:
    """Make each function from its app's zip, or bring an existing one up to date."""
    client = scope.client("lambda")
    code = {app: Path(path).read_bytes() for app, path in scope.options.zips.items()}
    existing = []
    for logical, function in scope.resources.functions.items():
        wanted, zipped = _configuration(scope, logical, function), code[function.app]
        arguments = {**wanted, "Code": {"ZipFile": zipped}, "PackageType": "Zip"}
        if attempt(CONFLICT, client.create_function, **arguments) is None:
            client.update_function_code(FunctionName=wanted["FunctionName"], ZipFile=zipped)
            existing.append(wanted)
    # Lambda takes one change at a time, but functions change side by side.
    _wait(client, "function_updated_v2", existing)
    for wanted in existing:
        client.update_function_configuration(**wanted)
    _wait(client, "function_updated_v2", existing)
    names = [{"FunctionName": scope.names.name(name)} for name in scope.resources.functions]
    _wait(client, "function_active_v2", names)


def _wait(client: Any, state: str, functions: list[dict[str, Any]]) -> None:
    for function in functions:
        client.get_waiter(state).wait(FunctionName=function["FunctionName"])


def make_mappings(scope: Scope) -> None:
    """Connect queues and streams to the functions that consume them."""
    client = scope.client("lambda")
    for source in scope.resources.mappings.values():
        wanted = _mapping(scope, source)
        found = client.list_event_source_mappings(
            FunctionName=wanted["FunctionName"], EventSourceArn=wanted["EventSourceArn"]
        )["EventSourceMappings"]
        if found:
            for fixed in ("EventSourceArn", "StartingPosition"):
                wanted.pop(fixed, None)
            client.update_event_source_mapping(UUID=found[0]["UUID"], **wanted)
        else:
            client.create_event_source_mapping(**wanted)


def make_schedules(scope: Scope) -> None:
    """Let EventBridge invoke functions on time."""
    events = scope.client("events")
    for logical, schedule in scope.resources.schedules.items():
        name = scope.names.name(logical)
        rule = events.put_rule(Name=name, ScheduleExpression=schedule.expression, State="ENABLED")
        function = scope.names.arn("function", schedule.function)
        events.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": function}])
        allow_invoke(scope, schedule.function, f"schedule-{logical}", "events", rule["RuleArn"])


def allow_invoke(scope: Scope, function: str, statement: str, service: str, source: str) -> None:
    """Let an AWS service invoke a function on behalf of one source ARN."""
    client = scope.client("lambda")
    attempt(
        CONFLICT,
        client.add_permission,
        FunctionName=scope.names.name(function),
        StatementId=statement,
        Action="lambda:InvokeFunction",
        Principal=f"{service}.amazonaws.com",
        SourceArn=source,
    )


def _configuration(scope: Scope, logical: str, function: Function) -> dict[str, Any]:
    variables = environment(function.access, scope.addresses, scope.options.common)
    return {
        "FunctionName": scope.names.name(logical),
        "Role": scope.names.arn("role", logical),
        "Handler": function.handler,
        "Runtime": scope.options.runtime,
        "MemorySize": function.memory_mb,
        "Timeout": function.timeout_seconds,
        "Environment": {"Variables": variables},
        "TracingConfig": {"Mode": "Active"},
    }


def _mapping(scope: Scope, source: EventSource) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "FunctionName": scope.names.name(source.function),
        "BatchSize": source.batch_size,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }
    if source.filters:
        patterns = [json.dumps(p, separators=(",", ":"), sort_keys=True) for p in source.filters]
        wanted["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in patterns]}
    if source.window_seconds:
        wanted["MaximumBatchingWindowInSeconds"] = source.window_seconds
    if source.queue:
        wanted["EventSourceArn"] = scope.names.arn("queue", source.queue)
        concurrency = scope.options.concurrency or source.concurrency
        if concurrency:
            wanted["ScalingConfig"] = {"MaximumConcurrency": concurrency}
        return wanted
    table = scope.client("dynamodb").describe_table(TableName=scope.names.name(source.stream))
    return {
        **wanted,
        "EventSourceArn": table["Table"]["LatestStreamArn"],
        "StartingPosition": "TRIM_HORIZON",
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": source.retries,
    }
