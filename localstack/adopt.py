"""What a killed `terraform apply` made and did not write down: import blocks for it.

    terraform plan -out=lost.plan
    terraform show -json lost.plan | python -m localstack.adopt > adopted.tf
    terraform apply

Terraform writes a resource down when it has the reply of the call that made it. Killed or
interrupted before, or with the reply lost, it would make the resource again: most names are then
taken, and an HTTP API or a KMS key would stand there twice. A planned resource whose name is in
the account already is such a one. What goes with its owner (inline policies, rules of a bucket,
targets, subscriptions) needs no adoption: making it again changes nothing.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from localstack.cloud.scope import Session, attempt

ABSENT = (
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "404",
    "NoSuchEntity",
    "NotFoundException",
    "ResourceNotFoundException",
)

Values = Mapping[str, Any]
Finder = Callable[[Session, Values], str | None]


def adoptions(plan: Values, session: Session) -> Iterator[tuple[str, str]]:
    """Yield (address, import id) of what `plan`, as `terraform show -json` prints it, would make
    although it is there.

    Raises botocore's ClientError when the account refuses to be read.
    """
    for change in plan.get("resource_changes", []):
        find = FINDERS.get(change["type"])
        if find is None or change["change"]["actions"] != ["create"]:
            continue
        found = _found(find, session, change["change"]["after"])
        if found is not None:
            yield change["address"], found


def import_block(address: str, identity: str) -> str:
    """Return Terraform code that takes a resource over at the next apply."""
    # Nothing in a name of ours can open a template.
    return f"import {{\n  to = {address}\n  id = {json.dumps(identity)}\n}}\n"


def _found(find: Finder, session: Session, values: Values) -> str | None:
    try:
        return find(session, values)
    except KeyError:
        # It hangs on a resource that is to be made first, so nobody has asked for it yet.
        return None


def _described(service: str, operation: str, argument: str, field: str) -> Finder:
    """Return a finder for what is described and imported by its name."""

    def find(session: Session, values: Values) -> str | None:
        name: str = values[field]
        call = getattr(session.client(service), operation)
        return None if attempt(ABSENT, call, **{argument: name}) is None else name

    return find


def _queue(session: Session, values: Values) -> str | None:
    found = attempt(ABSENT, session.client("sqs").get_queue_url, QueueName=values["name"])
    return found["QueueUrl"] if found else None


def _topic(session: Session, values: Values) -> str | None:
    pages = session.client("sns").get_paginator("list_topics").paginate()
    arns = {arn.rpartition(":")[2]: arn for arn in pages.search("Topics[].TopicArn")}
    return arns.get(values["name"])


def _rule(session: Session, values: Values) -> str | None:
    name: str = values["name"]
    found = attempt(ABSENT, session.client("events").describe_rule, Name=name)
    return f"default/{name}" if found else None


def _log_group(session: Session, values: Values) -> str | None:
    name: str = values["name"]
    pages = session.client("logs").get_paginator("describe_log_groups")
    groups = pages.paginate(logGroupNamePrefix=name).search("logGroups[].logGroupName")
    return name if name in groups else None


def _policy(session: Session, values: Values) -> str | None:
    pages = session.client("iam").get_paginator("list_policies").paginate(Scope="Local")
    arns = {p["PolicyName"]: p["Arn"] for page in pages for p in page["Policies"]}
    return arns.get(values["name"])


def _key(session: Session, values: Values) -> str | None:
    """A key has no name: its tag says whose it is."""
    kms, wanted = session.client("kms"), values["tags"]
    for key in kms.get_paginator("list_keys").paginate().search("Keys[].KeyId"):
        state = kms.describe_key(KeyId=key)["KeyMetadata"]
        if state["KeyManager"] == "CUSTOMER" and state["KeyState"] == "Enabled":
            tags = {t["TagKey"]: t["TagValue"] for t in kms.list_resource_tags(KeyId=key)["Tags"]}
            if tags == wanted:
                return str(key)
    return None


def _alias(session: Session, values: Values) -> str | None:
    name: str = values["name"]
    pages = session.client("kms").get_paginator("list_aliases").paginate()
    return name if name in pages.search("Aliases[].AliasName") else None


def _mapping(session: Session, values: Values) -> str | None:
    pages = session.client("lambda").get_paginator("list_event_source_mappings")
    found = pages.paginate(
        FunctionName=values["function_name"], EventSourceArn=values["event_source_arn"]
    )
    return next(iter(found.search("EventSourceMappings[].UUID")), None)


def _permission(session: Session, values: Values) -> str | None:
    function, wanted = values["function_name"], values["statement_id"]
    held = attempt(ABSENT, session.client("lambda").get_policy, FunctionName=function)
    statements = json.loads(held["Policy"])["Statement"] if held else []
    known = any(statement["Sid"] == wanted for statement in statements)
    return f"{function}/{wanted}" if known else None


def _api(session: Session, values: Values) -> str | None:
    pages = session.client("apigatewayv2").get_paginator("get_apis").paginate()
    apis = {api["Name"]: api["ApiId"] for page in pages for api in page["Items"]}
    return apis.get(values["name"])


def _part_of_api(operation: str, identity: str, field: str, attribute: str) -> Finder:
    """Return a finder for what an API has at most one of with the same `field`."""

    def find(session: Session, values: Values) -> str | None:
        api, wanted = values["api_id"], values[attribute]
        pages = session.client("apigatewayv2").get_paginator(operation).paginate(ApiId=api)
        for part in (part for page in pages for part in page["Items"]):
            if part[field] == wanted:
                return f"{api}/{part[identity]}"
        return None

    return find


FINDERS: Mapping[str, Finder] = {
    "aws_dynamodb_table": _described("dynamodb", "describe_table", "TableName", "name"),
    "aws_s3_bucket": _described("s3", "head_bucket", "Bucket", "bucket"),
    "aws_iam_role": _described("iam", "get_role", "RoleName", "name"),
    "aws_lambda_function": _described(
        "lambda", "get_function_configuration", "FunctionName", "function_name"
    ),
    "aws_sqs_queue": _queue,
    "aws_sns_topic": _topic,
    "aws_cloudwatch_event_rule": _rule,
    "aws_cloudwatch_log_group": _log_group,
    "aws_iam_policy": _policy,
    "aws_kms_key": _key,
    "aws_kms_alias": _alias,
    "aws_lambda_event_source_mapping": _mapping,
    "aws_lambda_permission": _permission,
    "aws_apigatewayv2_api": _api,
    "aws_apigatewayv2_integration": _part_of_api(
        "get_integrations", "IntegrationId", "IntegrationUri", "integration_uri"
    ),
    "aws_apigatewayv2_route": _part_of_api("get_routes", "RouteId", "RouteKey", "route_key"),
    "aws_apigatewayv2_stage": _part_of_api("get_stages", "StageName", "StageName", "name"),
}


def main() -> int:
    """Read a plan, write import blocks. Returns 1 with a sentence if one of both cannot be had."""
    try:
        found = list(adoptions(json.load(sys.stdin), boto3.Session()))
    except (ValueError, BotoCoreError, ClientError) as problem:
        sys.stderr.write(f"Nothing can be said about what is lost: {problem}\n")
        return 1
    sys.stdout.writelines(import_block(address, identity) for address, identity in found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
