"""All that stands in an account, as describe-calls tell it, without what no two accounts share."""

import json
import re
from collections.abc import Iterable
from typing import Any

from localstack_client.session import Session

Inventory = dict[str, Any]


def inventory(session: Session) -> Inventory:
    """Return what the account holds, comparable with another account's."""
    account = session.client("sts").get_caller_identity()["Account"]
    found: Inventory = {
        "tables": _tables(session),
        "queues": _queues(session),
        "topics": _topics(session),
        "buckets": _buckets(session),
        "keys": _keys(session),
        "live keys": _live_keys(session),
        "roles": _roles(session),
        "policies": _policies(session),
        "functions": _functions(session),
        "mappings": _mappings(session),
        "log groups": _log_groups(session),
        "schedules": _schedules(session),
        "apis": _apis(session),
    }
    # Where the emulator listens, whose account it is and what a key is called differ and may.
    key_ids = "|".join(found.pop("keys")["ids"]) or "none"
    text = json.dumps(found, sort_keys=True, default=str).replace(account, "ACCOUNT")
    text = re.sub(r"http://[\w.]+:\d+/", "http://EMULATOR/", re.sub(key_ids, "KEY", text))
    plain: Inventory = json.loads(text)
    return plain


def _tables(session: Session) -> Inventory:
    dynamodb = session.client("dynamodb")
    found = {}
    for name in dynamodb.list_tables()["TableNames"]:
        table = dynamodb.describe_table(TableName=name)["Table"]
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        found[name] = {
            "keys": table["KeySchema"],
            "attributes": _sorted(table["AttributeDefinitions"], "AttributeName"),
            "billing": table.get("BillingModeSummary", {}).get("BillingMode"),
            "stream": table.get("StreamSpecification"),
            "indexes": [
                {part: index[part] for part in ("IndexName", "KeySchema", "Projection")}
                for index in _sorted(table.get("GlobalSecondaryIndexes", []), "IndexName")
            ],
            "expiry": expiry.get("AttributeName"),
        }
    return found


def _queues(session: Session) -> Inventory:
    sqs = session.client("sqs")
    wanted = (
        "VisibilityTimeout",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "RedrivePolicy",
        "Policy",
    )
    found = {}
    for url in sqs.list_queues().get("QueueUrls", []):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        found[url.rsplit("/", 1)[1]] = {
            name: _document(attributes[name]) for name in wanted if name in attributes
        }
    return found


def _topics(session: Session) -> Inventory:
    sns = session.client("sns")
    found: Inventory = {topic["TopicArn"]: [] for topic in sns.list_topics()["Topics"]}
    for subscription in sns.list_subscriptions()["Subscriptions"]:
        attributes = sns.get_subscription_attributes(
            SubscriptionArn=subscription["SubscriptionArn"]
        )
        raw = attributes["Attributes"].get("RawMessageDelivery")
        entry = {"endpoint": subscription["Endpoint"], "raw": raw}
        found[subscription["TopicArn"]].append(entry)
    return {topic: _sorted(entries, "endpoint") for topic, entries in found.items()}


def _buckets(session: Session) -> Inventory:
    s3 = session.client("s3")
    found = {}
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
        found[name] = {
            "rules": [
                {
                    "prefix": rule.get("Filter", {}).get("Prefix", rule.get("Prefix")),
                    "days": rule["Expiration"]["Days"],
                    "status": rule["Status"],
                }
                for rule in _sorted(rules, "ID")
            ],
            "public": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
        }
    return found


def _keys(session: Session) -> Inventory:
    kms = session.client("kms")
    aliases = {a["AliasName"]: a.get("TargetKeyId", "") for a in kms.list_aliases()["Aliases"]}
    own = {name: key for name, key in aliases.items() if not name.startswith("alias/aws/")}
    return {"aliases": sorted(own), "ids": sorted(own.values())}


def _live_keys(session: Session) -> int:
    kms = session.client("kms")
    states = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    return [(s["KeyManager"], s["KeyState"]) for s in states].count(("CUSTOMER", "Enabled"))


def _roles(session: Session) -> Inventory:
    iam = session.client("iam")
    found = {}
    for role in iam.list_roles()["Roles"]:
        name = role["RoleName"]
        policies = {
            policy: _statements(iam.get_role_policy(RoleName=name, PolicyName=policy))
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        }
        trust = _document(role["AssumeRolePolicyDocument"])
        found[name] = {"trust": trust, "policies": policies}
    return found


def _policies(session: Session) -> Inventory:
    iam = session.client("iam")
    found = {}
    for policy in iam.list_policies(Scope="Local")["Policies"]:
        version = iam.get_policy_version(
            PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"]
        )
        found[policy["PolicyName"]] = _statements(version["PolicyVersion"], "Document")
    return found


def _functions(session: Session) -> Inventory:
    client = session.client("lambda")
    found = {}
    for function in client.list_functions()["Functions"]:
        name = function["FunctionName"]
        wanted = (
            "Handler",
            "Runtime",
            "MemorySize",
            "Timeout",
            "Role",
            "Environment",
            "CodeSha256",
            "TracingConfig",
        )
        permissions = _permissions(client, name)
        found[name] = {
            **{part: function.get(part) for part in wanted},
            "callers": sorted(s["Principal"]["Service"] for s in permissions.get("Statement", [])),
        }
    return found


def _permissions(client: Any, name: str) -> Any:
    try:
        return _document(client.get_policy(FunctionName=name)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return {}


def _mappings(session: Session) -> list[Inventory]:
    client = session.client("lambda")
    wanted = (
        "FunctionArn",
        "BatchSize",
        "FunctionResponseTypes",
        "StartingPosition",
        "BisectBatchOnFunctionError",
        "MaximumRetryAttempts",
        "ScalingConfig",
        "MaximumBatchingWindowInSeconds",
    )
    found = [
        {
            **{part: mapping.get(part) for part in wanted},
            "source": _source(mapping),
            "filters": _patterns(mapping),
        }
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]
    ]
    return _sorted(found, "FunctionArn")


def _patterns(mapping: Inventory) -> list[str]:
    """Return the patterns of a mapping; their order says nothing, one of them has to match."""
    filters = (mapping.get("FilterCriteria") or {}).get("Filters", [])
    return sorted(each["Pattern"] for each in filters)


def _source(mapping: Inventory) -> str:
    source: str = mapping["EventSourceArn"]
    return source.partition("/stream/")[0]


def _log_groups(session: Session) -> Inventory:
    groups = session.client("logs").describe_log_groups()["logGroups"]
    return {group["logGroupName"]: group.get("retentionInDays") for group in groups}


def _schedules(session: Session) -> Inventory:
    events = session.client("events")
    found = {}
    for rule in events.list_rules()["Rules"]:
        targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        found[rule["Name"]] = {
            "expression": rule["ScheduleExpression"],
            "state": rule["State"],
            "targets": [target["Arn"] for target in targets],
        }
    return found


def _apis(session: Session) -> list[Inventory]:
    # A list: nothing keeps two APIs from having the same name.
    gateway = session.client("apigatewayv2")
    found = []
    for api in gateway.get_apis()["Items"]:
        id_ = {"ApiId": api["ApiId"]}
        entry = {
            "name": api["Name"],
            "protocol": api["ProtocolType"],
            "routes": [route["RouteKey"] for route in gateway.get_routes(**id_)["Items"]],
            "stages": [
                (stage["StageName"], stage.get("AutoDeploy"))
                for stage in gateway.get_stages(**id_)["Items"]
            ],
            "integrations": [
                {
                    part: integration.get(part)
                    for part in ("IntegrationType", "PayloadFormatVersion", "IntegrationUri")
                }
                for integration in gateway.get_integrations(**id_)["Items"]
            ],
        }
        found.append(entry)
    return _sorted(found, "name")


def _statements(policy: Inventory, part: str = "PolicyDocument") -> list[Inventory]:
    document = _document(policy[part])
    statements = [
        {**s, "Action": sorted([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
        for s in document["Statement"]
    ]
    return sorted(statements, key=lambda s: json.dumps(s, sort_keys=True))


def _document(value: Any) -> Any:
    """Return a JSON document that may come as text."""
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value


def _sorted(entries: Iterable[Inventory], by: str) -> list[Inventory]:
    return sorted(entries, key=lambda entry: str(entry[by]))
