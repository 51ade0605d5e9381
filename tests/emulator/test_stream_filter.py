"""The stream filter in `infra/resources.json`: the publisher is invoked for events and no more."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from localstack.builds import runtime
from localstack.resources import load_resources
from localstack.state import wait_for
from mailroom.adapters.names import delivery_sk, history_sk, server_fact_sk
from tests.support.emulator import ROOT, Emulator

pytestmark = pytest.mark.emulator
PATTERNS = load_resources(ROOT).mappings["mail-publisher"].filters
TELL = """
import json

def publish(event, context):
    for record in event["Records"]:
        image = record["dynamodb"].get("NewImage", {})
        seen = [record["eventName"], image.get("sk", {}).get("S"), image.get("event", {}).get("S")]
        print("SEEN " + json.dumps(seen))
"""


class Mail:
    """A table with a stream, and a function that says what it was given."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        session = emulator.session()
        self._dynamodb, self._logs = session.client("dynamodb"), session.client("logs")
        table = self._dynamodb.create_table(
            TableName="mail",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )["TableDescription"]
        path = folder / "tell.zip"
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("app.py", TELL)
        client = session.client("lambda")
        client.create_function(
            FunctionName="tell",
            Role="arn:aws:iam::000000000000:role/tell",
            Handler="app.publish",
            Runtime=runtime(),
            Code={"ZipFile": path.read_bytes()},
        )
        client.get_waiter("function_active_v2").wait(FunctionName="tell")
        client.create_event_source_mapping(
            FunctionName="tell",
            EventSourceArn=table["LatestStreamArn"],
            StartingPosition="TRIM_HORIZON",
            BatchSize=100,
            FilterCriteria={"Filters": [{"Pattern": json.dumps(p)} for p in PATTERNS]},
        )

    def put(self, sk: str, event: str = "") -> None:
        item = {"pk": {"S": "a#1"}, "sk": {"S": sk}, "at": {"N": "1"}}
        self._dynamodb.put_item(
            TableName="mail", Item=item | ({"event": {"S": event}} if event else {})
        )

    def delete(self, sk: str) -> None:
        self._dynamodb.delete_item(TableName="mail", Key={"pk": {"S": "a#1"}, "sk": {"S": sk}})

    def seen(self) -> list[Any]:
        """Return what the function was given so far."""
        group = "/aws/lambda/tell"
        groups = self._logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not groups:
            return []
        lines = self._logs.filter_log_events(logGroupName=group)["events"]
        texts = [part for line in lines for part in line["message"].splitlines()]
        return [json.loads(t.partition("SEEN ")[2]) for t in texts if "SEEN " in t]


@pytest.fixture
def mail(emulator: Emulator, tmp_path: Path) -> Mail:
    return Mail(emulator, tmp_path)


def test_only_what_tells_something_reaches_the_publisher(mail: Mail) -> None:
    mail.put("s")  # accepted
    mail.put("s")  # written again, which says nothing new
    mail.put(delivery_sk(0))  # nothing happened yet
    mail.put(history_sk(0, 1.0, "e1"), "recorded")
    mail.put(delivery_sk(1), "first")
    mail.put(delivery_sk(0), "second")
    mail.put(server_fact_sk(1.0, "f1"))
    mail.delete(delivery_sk(1))
    mail.put(delivery_sk(2), "last")
    assert wait_for(lambda: any(event == "last" for _, _, event in mail.seen()), 60)
    assert mail.seen() == [
        ["INSERT", "s", None],
        ["INSERT", delivery_sk(1), "first"],
        ["MODIFY", delivery_sk(0), "second"],
        ["INSERT", server_fact_sk(1.0, "f1"), None],
        ["INSERT", delivery_sk(2), "last"],
    ]
