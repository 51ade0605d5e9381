"""Submissions and deliveries by the thousand, made and stored without `accept`."""

from collections.abc import Iterator
from typing import Any

from mailroom.adapters.mail_rows import delivery_row, submission_row
from mailroom.adapters.tables import MailTables
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    METADATA_DAYS,
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
)
from mailroom.fakes.memory import MemoryLedger

SERVER = ServerId("abcdefghij")
NOW = 4_000_000_000.5  # of a time to come: an emulator deletes rows whose `ttl` is over
EACH = 50  # recipients of a submission
REGULAR = "regular@x.test"  # gets every submission


def made_submission(number: int, at: float, **changes: Any) -> Submission:
    whole: dict[str, Any] = {
        "server": SERVER,
        "number": number,
        "accepted_at": at,
        "expires_at": at + 172_800,
        "mail_from": "bounces@demo.test",
        "from_address": "me@demo.test",
        "sign_domain": "demo.test",
        "subject": f"Invoice {number}",
        "message_id": f"{number}@demo.test",
        "tag": None,
        "size": 400,
        "recipients": 1,
        "source": "api",
        "bounce": False,
        "body": BodyRef(key=f"30/00/org/{SERVER}/{number}"),
    }
    return Submission(**{**whole, **changes})


def made_delivery(submission: Submission, index: int, recipient: str, **changes: Any) -> Delivery:
    whole: dict[str, Any] = {
        "key": DeliveryKey(submission.server, submission.number, index),
        "recipient": recipient,
        "state": State.SENT,
        "accepted_at": submission.accepted_at,
        "expires_at": submission.expires_at,
    }
    return Delivery(**{**whole, **changes})


def campaign(
    first: int, submissions: int, seconds: float
) -> Iterator[tuple[Submission, list[Delivery]]]:
    """Yield submissions with EACH recipients, oldest first, over the `seconds` until NOW."""
    for place in range(submissions):
        at = round(NOW - seconds * (submissions - 1 - place) / submissions, 3)
        made = made_submission(first + place, at, recipients=EACH, tag="news")
        names = [REGULAR, *(f"r{place}-{each}@x.test" for each in range(1, EACH))]
        yield made, [made_delivery(made, index, name) for index, name in enumerate(names)]


def fill_memory(ledger: MemoryLedger, first: int, submissions: int, seconds: float) -> None:
    for submission, deliveries in campaign(first, submissions, seconds):
        ledger.reserve(deliveries)
        ledger.commit(submission)


def fill_table(
    tables: MailTables, dynamodb: Any, first: int, submissions: int, seconds: float
) -> None:
    """Store the rows as the ledger makes them, 25 a call."""
    rows = (
        row
        for submission, deliveries in campaign(first, submissions, seconds)
        for row in [
            *(delivery_row(tables.delivery, delivery, METADATA_DAYS) for delivery in deliveries),
            submission_row(tables.submission, submission),
        ]
    )
    batch: list[Any] = []
    for row in rows:
        batch.append({"PutRequest": {"Item": row.serialize()}})
        if len(batch) == 25:
            dynamodb.batch_write_item(RequestItems={row.Meta.table_name: batch})
            batch = []
    if batch:
        dynamodb.batch_write_item(RequestItems={row.Meta.table_name: batch})
