"""Queues with their dead-letter queues, topics and subscriptions."""

import json
from typing import Any

from localstack.cloud.scope import Scope, attempt
from localstack.naming import queue_policy, topic_address, visibility

DEAD = "-dead"
EXISTS = ("QueueAlreadyExists", "QueueNameExists")  # the JSON and the older protocol's name
DEAD_RETENTION = 1_209_600  # seconds: 14 days, the longest there is


def make_queues(scope: Scope) -> None:
    """Make each queue and, before it, the queue its hopeless messages go to."""
    sqs = scope.client("sqs")
    for logical in scope.resources.queues:
        name = scope.names.name(logical)
        _make_queue(sqs, name + DEAD, {"MessageRetentionPeriod": str(DEAD_RETENTION)})
        url = _make_queue(sqs, name, queue_attributes(scope, logical))
        scope.addresses[f"queue:{logical}"] = url


def queue_attributes(scope: Scope, logical: str) -> dict[str, str]:
    """Return a queue's attributes as SQS wants them: all of them text."""
    queue = scope.resources.queues[logical]
    redrive = {
        "deadLetterTargetArn": scope.names.arn("queue", logical) + DEAD,
        "maxReceiveCount": queue.max_receives,
    }
    seconds = visibility(scope.resources, logical, scope.options.delay_divisor)
    attributes = {
        "VisibilityTimeout": str(seconds),
        "MessageRetentionPeriod": str(queue.retention_seconds),
        "ReceiveMessageWaitTimeSeconds": "20",
        "RedrivePolicy": json.dumps(redrive),
    }
    policy = queue_policy(scope.resources, logical, scope.names)
    return {**attributes, "Policy": json.dumps(policy)} if policy else attributes


def make_topics(scope: Scope) -> None:
    """Make each topic and subscribe the queues that listen to it."""
    sns = scope.client("sns")
    for logical, topic in scope.resources.topics.items():
        if not topic.family:
            sns.create_topic(Name=scope.names.name(logical))
        address = topic_address(scope.resources, logical, scope.names)
        scope.addresses[f"topic:{logical}"] = address
    for subscription in scope.resources.subscriptions:
        sns.subscribe(
            TopicArn=scope.addresses[f"topic:{subscription.topic}"],
            Protocol="sqs",
            Endpoint=scope.names.arn("queue", subscription.queue),
            Attributes={"RawMessageDelivery": str(subscription.raw).lower()},
            ReturnSubscriptionArn=True,
        )


def _make_queue(sqs: Any, name: str, attributes: dict[str, str]) -> str:
    made = attempt(EXISTS, sqs.create_queue, QueueName=name, Attributes=attributes)
    if made is None:  # it exists with other attributes
        made = sqs.get_queue_url(QueueName=name)
        sqs.set_queue_attributes(QueueUrl=made["QueueUrl"], Attributes=attributes)
    url: str = made["QueueUrl"]
    return url
