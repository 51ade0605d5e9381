"""Tables, buckets and keys."""

from typing import Any

from localstack.cloud.scope import Scope, attempt
from localstack.resources import Bucket, Table

EXISTS = ("ResourceInUseException",)
OWNED = ("BucketAlreadyOwnedByYou",)


def make_keys(scope: Scope) -> None:
    """Make each KMS key with its alias; the alias is what finds it again."""
    kms = scope.client("kms")
    for logical, key in scope.resources.keys.items():
        alias = f"alias/{scope.names.name(logical)}"
        found = attempt(("NotFoundException",), kms.describe_key, KeyId=alias)
        if found is None:
            tag = {"TagKey": "Name", "TagValue": scope.names.name(logical)}
            found = kms.create_key(Description=key.description, Tags=[tag])
            kms.create_alias(AliasName=alias, TargetKeyId=found["KeyMetadata"]["KeyId"])
            kms.enable_key_rotation(KeyId=found["KeyMetadata"]["KeyId"])
        scope.keys[logical] = scope.addresses[f"key:{logical}"] = found["KeyMetadata"]["Arn"]


def make_tables(scope: Scope) -> None:
    """Make each table, wait until it can be used, and set its expiry attribute."""
    dynamodb = scope.client("dynamodb")
    for logical, table in scope.resources.tables.items():
        name = scope.names.name(logical)
        attempt(EXISTS, dynamodb.create_table, **table_request(name, table))
        scope.addresses[f"table:{logical}"] = name
    for logical, table in scope.resources.tables.items():
        name = scope.names.name(logical)
        dynamodb.get_waiter("table_exists").wait(
            TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        _set_expiry(dynamodb, name, table)


def table_request(name: str, table: Table) -> dict[str, Any]:
    """Return the arguments of CreateTable."""
    request: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": _key_schema(table.hash_key, table.range_key),
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": kind}
            for attribute, kind in table.attributes.items()
        ],
    }
    if table.indexes:
        request["GlobalSecondaryIndexes"] = [
            {
                "IndexName": name,
                "KeySchema": _key_schema(index.hash_key, index.range_key),
                "Projection": {"ProjectionType": index.projection},
            }
            for name, index in table.indexes.items()
        ]
    if table.stream:
        request["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": table.stream}
    return request


def make_buckets(scope: Scope) -> None:
    """Make each bucket: private, encrypted, with one lifecycle rule for each retention class."""
    s3 = scope.client("s3")
    for logical, bucket in scope.resources.buckets.items():
        name = scope.names.name(logical)
        attempt(OWNED, s3.create_bucket, Bucket=name)
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
        if bucket.lifecycle_days:
            s3.put_bucket_lifecycle_configuration(
                Bucket=name, LifecycleConfiguration={"Rules": lifecycle_rules(bucket)}
            )
        scope.addresses[f"bucket:{logical}"] = name


def lifecycle_rules(bucket: Bucket) -> list[dict[str, Any]]:
    """Return the rules that delete what lies under `<days>/` after that many days."""
    return [
        {
            "ID": f"expire-{days}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{days}/"},
            "Expiration": {"Days": days},
        }
        for days in bucket.lifecycle_days
    ]


def _key_schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]


def _set_expiry(dynamodb: Any, name: str, table: Table) -> None:
    if not table.ttl:
        return
    described = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    # AWS refuses to enable what is enabled.
    if described["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        dynamodb.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl},
        )
