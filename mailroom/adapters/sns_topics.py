"""Topics that organisations have of their own: publishing to them, and making them.

Customers never subscribe to the platform's topic: a filter policy is no wall between tenants. What
an organisation's topic gets is what a webhook of all its servers would get.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.domain.message import ServerId, Webhook
from mailroom.domain.webhook_target import organisation_topic
from mailroom.ports import Answer

WEBHOOK_ID = "topic"
PROTOCOLS = ("sqs", "https", "lambda")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_MAX_ACCOUNTS = 20
_MAX_PROBLEM = 200


class SnsTopic:
    """The Topic port on SNS."""

    def __init__(self, sns: Any) -> None:
        self._sns = sns

    def publish(self, arn: str, text: str, attributes: dict[str, str]) -> Answer:
        """See Topic.publish. An answer's body is the message id SNS gave."""
        described = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        subject = f"mailroom {attributes.get('event', 'event')}"
        try:
            made = self._sns.publish(
                TopicArn=arn, Message=text, Subject=subject, MessageAttributes=described
            )
        except ClientError as error:
            answer = error.response
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return Answer(max(status, 400), problem=str(answer["Error"]["Code"])[:_MAX_PROBLEM])
        except BotoCoreError as error:
            return Answer(0, problem=str(error)[:_MAX_PROBLEM])
        return Answer(200, str(made["MessageId"]))


class OrganisationTopics:
    """Makes an organisation's topic and the webhook that feeds it.

    For an operator's tool or the management API: no function of the platform may do this.
    """

    def __init__(self, sns: Any, rows: DirectoryRows, family: str) -> None:
        """`family` is what the ARNs of such topics begin with, up to the organisation's id."""
        self._sns = sns
        self._rows = rows
        self._family = family

    def create(self, organisation: str, subscriber_accounts: Collection[str]) -> str:
        """Make the topic, or change who may subscribe to it; return its ARN.

        Exactly the AWS accounts in `subscriber_accounts` (twelve digits each, 1 to 20) may
        subscribe queues, functions and HTTPS endpoints; subscriptions of others are removed.
        Raises ValueError for what is no account or no possible name, ClientError from SNS.
        """
        accounts = sorted(set(subscriber_accounts))
        if not 1 <= len(accounts) <= _MAX_ACCOUNTS or not all(map(_ACCOUNT.match, accounts)):
            raise ValueError("subscribers are 1 to 20 AWS accounts of twelve digits")
        arn = organisation_topic(self._family, organisation)
        self._sns.create_topic(Name=arn.rpartition(":")[2])
        self._sns.set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(_policy(arn, accounts))
        )
        self._remove_others(arn, {*accounts, arn.split(":")[4]})
        # Last: nothing is published before the topic lets the right accounts in, and no others.
        hook = Webhook(WEBHOOK_ID, ServerId(""), arn, sign=False)
        self._rows.put_organisation_webhook(organisation, hook)
        return arn

    def _remove_others(self, arn: str, accounts: Collection[str]) -> None:
        pages = self._sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
        for page in pages:
            for subscription in page["Subscriptions"]:
                confirmed = subscription["SubscriptionArn"].startswith("arn:")
                if confirmed and subscription["Owner"] not in accounts:
                    self._sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])


def _policy(arn: str, accounts: Collection[str]) -> dict[str, Any]:
    partition, own = arn.split(":")[1], arn.split(":")[4]
    subscribers = [f"arn:{partition}:iam::{account}:root" for account in accounts]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Subscribe",
                "Effect": "Allow",
                "Principal": {"AWS": subscribers},
                "Action": "sns:Subscribe",
                "Resource": arn,
                "Condition": {"StringEquals": {"sns:Protocol": list(PROTOCOLS)}},
            },
            {
                "Sid": "Publish",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:{partition}:iam::{own}:root"},
                "Action": "sns:Publish",
                "Resource": arn,
            },
        ],
    }
