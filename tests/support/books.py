"""The ledger of one server on a running stack, read from the table itself."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from boto3.dynamodb.conditions import Attr

from mailroom.adapters.names import SUBMISSION, delivery_sk, is_history, mail_pk, read_delivery_key
from mailroom.domain.event import Event, EventType, load_event
from mailroom.domain.lifecycle import FINAL
from mailroom.domain.message import DeliveryKey, ServerId
from tests.support.stack import Stack

_READS = 100  # BatchGetItem's own limit


@dataclass(slots=True)
class Entry:
    """One accepted delivery with its history in order."""

    id: int
    recipient: str
    state: str
    attempts: int
    uncertain: int
    events: list[Event] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        """Say whether it is final and its history has every attempt."""
        after = [event for event in self.events if event.type is not EventType.ACCEPTED]
        return self.state in FINAL and len(after) >= self.attempts


class Ledger:
    """The mail table's rows of one server."""

    def __init__(self, stack: Stack, server: ServerId) -> None:
        made = json.loads(Path(stack.state, "provisioned.json").read_text())["addresses"]
        self._server = server
        self._name = made["table:mail"]
        session = boto3.Session("test", "test", region_name="us-east-1")
        self._dynamodb = session.resource("dynamodb", endpoint_url=stack.status["emulator_url"])
        self._final: set[int] = set()

    def unfinished(self, ids: Iterable[int]) -> set[int]:
        """Return those of `ids` that are not final yet; final ones are not asked about again."""
        asked = iter(set(ids) - self._final)
        pending: set[int] = set()
        while batch := list(islice(asked, _READS)):
            keys = {id_: DeliveryKey.from_postal_id(self._server, id_) for id_ in batch}
            states = self._states(list(keys.values()))
            for id_, key in keys.items():
                (self._final if states.get(key) in FINAL else pending).add(id_)
        return pending

    def entries(self) -> list[Entry]:
        """Return everything that was accepted: deliveries of committed submissions."""
        committed: set[str] = set()
        deliveries: dict[DeliveryKey, dict[str, Any]] = {}
        histories: dict[DeliveryKey, list[Event]] = defaultdict(list)
        for row in self._rows():
            kind = row["sk"]
            if kind == SUBMISSION:
                committed.add(row["pk"])
            elif is_history(kind):
                event = load_event(json.loads(row["event"]))
                histories[event.key].append(event)
            elif kind.startswith("d#"):
                deliveries[read_delivery_key(row["pk"], kind)] = row
        return [
            Entry(
                key.postal_id,
                row["rcpt"],
                row["state"],
                int(row["att"]),
                int(row["unc"]),
                sorted(histories[key], key=lambda event: event.at),
            )
            for key, row in deliveries.items()
            if row["pk"] in committed
        ]

    def _states(self, keys: list[DeliveryKey]) -> dict[DeliveryKey, str]:
        wanted: Any = {
            self._name: {
                "Keys": [
                    {"pk": mail_pk(key.server, key.number), "sk": delivery_sk(key.index)}
                    for key in keys
                ],
                "ConsistentRead": True,
            }
        }
        states = {}
        while wanted:
            answer = self._dynamodb.batch_get_item(RequestItems=wanted)
            for row in answer["Responses"].get(self._name, []):
                states[read_delivery_key(row["pk"], row["sk"])] = row["state"]
            wanted = answer.get("UnprocessedKeys")
        return states

    def _rows(self) -> Iterator[dict[str, Any]]:
        table, more = self._dynamodb.Table(self._name), {}
        while True:
            found = table.scan(
                FilterExpression=Attr("pk").begins_with(f"{self._server}#"),
                ConsistentRead=True,
                **more,
            )
            yield from found["Items"]
            if "LastEvaluatedKey" not in found:
                return
            more = {"ExclusiveStartKey": found["LastEvaluatedKey"]}
