"""What an AWS request is, and what it writes: pure.

Write units of an ordinary write are those the service reports (ReturnConsumedCapacity). Those of
a statement are computed from the item's size as DynamoDB's price list does, because the emulator
says 1 for each whatever its size.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

Json = Mapping[str, Any]

SEND_PATH = ("submission", "watch", "delivery put", "claim", "verdict", "release")
HISTORY = ("history", "counters", "search index")
UNIT = 1024  # octets of one write unit
# Attributes that put an item into an index that searches read; each entry is a write of its own.
INDEX_KEYS = frozenset({"day_key", "rcpt_key", "mid_key", "tag_key"})

_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
_DATED = re.compile(r"/\d{4}-\d\d-\d\d")
_TABLE_OF_STATEMENT = re.compile(r'"([^"]+)"')
_NAME_OF_VALUE = re.compile(r"'(\w+)': \?")


@dataclass(frozen=True, slots=True)
class Request:
    """An AWS request as it crosses the wire. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def service(self) -> str:
        """The service's name in the signature, such as `dynamodb`; empty if unsigned."""
        found = _SCOPE.search(self.headers.get("authorization", ""))
        return found[1] if found else ""

    @property
    def target(self) -> str:
        """The operation of a JSON protocol service; empty for others."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def json(self) -> Json:
        """The body of a JSON protocol request; empty if it is none."""
        return _object(self.body)


def label(request: Request, answer: Json) -> str:
    """Name a call as `service.Operation`, for DynamoDB with the table it went to.

    A poll that brought nothing is `sqs.ReceiveMessage, empty`.
    """
    name = f"{request.service or 'unsigned'}.{_operation(request)}"
    if request.service == "dynamodb":
        return f"{name} {', '.join(sorted(set(_tables(request)))) or '?'}"
    if name == "sqs.ReceiveMessage" and not answer.get("Messages"):
        return f"{name}, empty"
    return name


def with_capacity(request: Request) -> bytes:
    """Return the body of a DynamoDB request, asking for the capacity it consumes."""
    return json.dumps({**request.json, "ReturnConsumedCapacity": "INDEXES"}).encode()


def octets(item: Json) -> int:
    """Return an item's size as DynamoDB counts it, roughly: names and values, no overhead."""
    return sum(len(name.encode()) + _value_octets(value) for name, value in item.items())


@dataclass(slots=True)
class Sizes:
    """Item sizes seen, to price statements whose answer does not show the item."""

    known: dict[tuple[str, str], int] = field(default_factory=dict)


def writes(request: Request, answer: Json, sizes: Sizes) -> Iterator[tuple[str, float]]:
    """Yield (item type, write units) for each item a DynamoDB request wrote.

    A refused condition costs a write all the same and is yielded as `refused`.
    """
    body, operation = request.json, request.target
    if operation == "BatchExecuteStatement":
        answers = answer.get("Responses", [])
        for statement, one in zip(body.get("Statements", []), answers, strict=False):
            if not statement["Statement"].startswith("SELECT"):
                yield from _statement(statement, one, sizes)
    elif operation == "BatchWriteItem":
        yield from _batch(body, answer, sizes)
    elif operation in ("PutItem", "UpdateItem", "DeleteItem"):
        if "ConditionalCheckFailed" in str(answer.get("__type", "")):
            yield "refused", 1.0
            return
        item = body.get("Item") or body.get("Key", {})
        if operation == "PutItem":
            sizes.known[_place(item)] = octets(item)
        units = _units(answer.get("ConsumedCapacity"))
        yield from _apart(_type_of(body.get("TableName", ""), item, operation), item, units)


def _batch(body: Json, answer: Json, sizes: Sizes) -> Iterator[tuple[str, float]]:
    """Share a batch's units among its items by what each would cost alone."""
    for table, entries in body.get("RequestItems", {}).items():
        items = [
            entry.get("PutRequest", {}).get("Item") or entry.get("DeleteRequest", {}).get("Key", {})
            for entry in entries
        ]
        alone = [_units_for(octets(item)) + _entries(item) for item in items]
        consumed = answer.get("ConsumedCapacity", [])
        total = sum(_units(one) for one in consumed if one.get("TableName") == table)
        for item, share in zip(items, alone, strict=True):
            sizes.known[_place(item)] = octets(item)
            units = (total or sum(alone)) * share / sum(alone)
            yield from _apart(_type_of(table, item, "PutItem"), item, units)


def _apart(kind: str, item: Json, units: float) -> Iterator[tuple[str, float]]:
    """Yield what the item cost and, apart from it, what its entries in indexes did."""
    entries = min(_entries(item), units)
    yield kind, units - entries
    if entries:
        yield "search index", entries


def _entries(item: Json) -> float:
    return float(len(INDEX_KEYS & item.keys()))


def _statement(statement: Json, answer: Json, sizes: Sizes) -> Iterator[tuple[str, float]]:
    text, parameters = statement["Statement"], statement.get("Parameters", [])
    if "Error" in answer:
        yield "refused", 1.0
        return
    if text.startswith("INSERT"):
        item = dict(zip(_NAME_OF_VALUE.findall(text), parameters, strict=True))
        sizes.known[_place(item)] = octets(item)
        found = _TABLE_OF_STATEMENT.search(text)
        kind = _type_of(found[1] if found else "", item, "PutItem")
        yield from _apart(kind, item, _units_for(octets(item)) + _entries(item))
        return
    if "SET claim=?" in text:
        item = answer.get("Item", {})
        sizes.known[_place(item)] = octets(item)
        yield "claim", _units_for(octets(item))
        return
    # The item as it was plus all that is set: at most what it is now.
    before = max((sizes.known.get(place, 0) for place in _pairs(parameters)), default=0)
    added = sum(_value_octets(parameter) for parameter in parameters)
    index = 1.0 if "SET due_at" in text else 0.0
    yield ("verdict" if "event=?" in text else "release"), _units_for(before + added) + index


def _pairs(parameters: list[Json]) -> Iterator[tuple[str, str]]:
    texts = [str(parameter.get("S", "")) for parameter in parameters]
    return pairwise(texts)


def _type_of(table: str, item: Json, operation: str) -> str:
    logical = _logical(table)
    if logical != "mail":
        return {"due": "watch", "notifications": "notification"}.get(logical, logical)
    sort_key = _text(item, "sk")
    if sort_key == "s":
        return "submission"
    if sort_key.startswith("h#"):
        return "history"
    if sort_key.startswith("t#"):
        return "search index"
    return {"PutItem": "delivery put", "UpdateItem": "reconciled"}.get(operation, "discarded")


def _operation(request: Request) -> str:
    if request.target:
        return request.target
    if request.service == "s3":
        return {"PUT": "PutObject", "GET": "GetObject"}.get(request.method, request.method)
    if request.path.endswith("/invocations"):
        return "Invoke"
    action = parse_qs(request.body.decode(errors="replace")).get("Action")
    return action[0] if action else f"{request.method} {_DATED.sub('', request.path)[:40]}"


def _tables(request: Request) -> Iterator[str]:
    body = request.json
    if "TableName" in body:
        index = f" index {body['IndexName']}" if "IndexName" in body else ""
        yield _logical(body["TableName"]) + index
    yield from map(_logical, body.get("RequestItems", {}))
    for statement in body.get("Statements", []):
        if found := _TABLE_OF_STATEMENT.search(statement.get("Statement", "")):
            yield _logical(found[1])


def _logical(table: str) -> str:
    return table.rpartition("-")[2]


def _place(item: Json) -> tuple[str, str]:
    return _text(item, "pk"), _text(item, "sk")


def _text(item: Json, name: str) -> str:
    return str(item.get(name, {}).get("S", ""))


def _units(consumed: Any) -> float:
    return float(consumed.get("CapacityUnits", 0.0)) if isinstance(consumed, dict) else 0.0


def _units_for(size: int) -> float:
    return float(max(1, math.ceil(size / UNIT)))


def _value_octets(value: Json) -> int:
    kind, content = next(iter(value.items()), ("NULL", True))
    match kind:
        case "S":
            return len(str(content).encode())
        case "N":
            return len(str(content)) // 2 + 1
        case "B":
            return len(str(content)) * 3 // 4  # base64 on the wire
        case "BOOL" | "NULL":
            return 1
    return len(json.dumps(content))


def _object(body: bytes) -> Json:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def answer_of(body: bytes) -> Json:
    """Return a JSON protocol answer; empty if it is none."""
    return _object(body)
