"""What the benchmarks count with: AWS requests by kind, item sizes, and lines of /proc."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bench.aws_calls import Request, Sizes, label, octets, with_capacity, writes
from bench.counting_proxy import CountingProxy
from bench.processes import Stat, below, parse_peak, parse_stat
from localstack.config import Ports, StackConfig, write_config

SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, SignedHeaders=host"


def a_request(service: str, operation: str = "", body: object = None, **more: str) -> Request:
    headers = {"authorization": SIGNED.format(service)}
    if operation:
        headers["x-amz-target"] = f"Any_20120810.{operation}"
    octets_of = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return Request(more.get("method", "POST"), more.get("path", "/"), headers, octets_of)


def dynamodb(operation: str, **body: object) -> Request:
    return a_request("dynamodb", operation, body)


def item(sk: str, **more: str) -> dict[str, object]:
    return {"pk": {"S": "server#1"}, "sk": {"S": sk}, **{k: {"S": v} for k, v in more.items()}}


def consumed(units: float) -> dict[str, object]:
    return {"ConsumedCapacity": {"TableName": "x-mail", "CapacityUnits": units}}


@pytest.mark.parametrize(
    ("request_", "answer", "name"),
    [
        (dynamodb("PutItem", TableName="x-mail"), {}, "dynamodb.PutItem mail"),
        (
            dynamodb("Query", TableName="x-mail", IndexName="due"),
            {},
            "dynamodb.Query mail index due",
        ),
        (
            dynamodb(
                "BatchExecuteStatement", Statements=[{"Statement": 'UPDATE "x-mail" SET a=?'}]
            ),
            {},
            "dynamodb.BatchExecuteStatement mail",
        ),
        (dynamodb("ListTables"), {}, "dynamodb.ListTables ?"),
        (a_request("sqs", "ReceiveMessage"), {"Messages": [{}]}, "sqs.ReceiveMessage"),
        (a_request("sqs", "ReceiveMessage"), {}, "sqs.ReceiveMessage, empty"),
        (a_request("sns", body=b"Action=PublishBatch&Version=1"), {}, "sns.PublishBatch"),
        (a_request("s3", method="PUT", path="/bucket/key"), {}, "s3.PutObject"),
        (
            a_request("lambda", path="/2015-03-31/functions/f/invocations"),
            {},
            "lambda.Invoke",
        ),
        (Request("GET", "/", {}, b"\xff not json"), {}, "unsigned.GET /"),
    ],
)
def test_a_call_gets_its_name(request_: Request, answer: dict[str, object], name: str) -> None:
    assert label(request_, answer) == name


@pytest.mark.parametrize(
    ("operation", "table", "sort_key", "kind"),
    [
        ("PutItem", "x-mail", "s", "submission"),
        ("PutItem", "x-mail", "d#0000", "delivery put"),
        ("UpdateItem", "x-mail", "d#0000", "reconciled"),
        ("DeleteItem", "x-mail", "d#0000", "discarded"),
        ("PutItem", "x-mail", "h#0000#17#id", "history"),
        ("PutItem", "x-due", "17#server#1", "watch"),
        ("DeleteItem", "x-due", "17#server#1", "watch"),
        ("UpdateItem", "x-counters", "hour", "counters"),
        ("PutItem", "x-notifications", "17#uuid#1", "notification"),
        ("PutItem", "x-directory", "server", "directory"),
    ],
)
def test_a_write_gets_its_item_type(operation: str, table: str, sort_key: str, kind: str) -> None:
    name = "Item" if operation == "PutItem" else "Key"
    request = dynamodb(operation, **{"TableName": table, name: item(sort_key)})
    assert list(writes(request, consumed(3.0), Sizes())) == [(kind, 3.0)]


def test_reads_write_nothing() -> None:
    for request in (
        dynamodb("GetItem", TableName="x-mail", Key=item("s")),
        dynamodb("Query", TableName="x-mail"),
        dynamodb("BatchExecuteStatement", Statements=[{"Statement": 'SELECT * FROM "x-mail"'}]),
    ):
        assert list(writes(request, {"Responses": [{}], **consumed(1)}, Sizes())) == []


def test_a_refused_condition_is_a_write_of_its_own_kind() -> None:
    refusal = {"__type": "com.amazonaws#ConditionalCheckFailedException"}
    request = dynamodb("PutItem", TableName="x-mail", Item=item("h#0000#1"))
    assert list(writes(request, refusal, Sizes())) == [("refused", 1.0)]


def test_statements_are_priced_by_the_size_of_the_item() -> None:
    sizes = Sizes()
    row = item("d#0000", rcpt="a" * 900)
    claim = {"Statement": 'UPDATE "x-mail" SET "state"=? SET claim=? ...', "Parameters": []}
    asked = dynamodb("BatchExecuteStatement", Statements=[claim])
    assert list(writes(asked, {"Responses": [{"Item": row}]}, sizes)) == [("claim", 1.0)]

    place = [{"S": "server#1"}, {"S": "d#0000"}]
    final = {"Statement": "UPDATE ... SET event=? REMOVE due_at", "Parameters": [{"S": "e" * 300}]}
    final["Parameters"] += place
    again = {**final, "Statement": "UPDATE ... SET event=? SET due_at=? SET due_shard=?"}
    release = {"Statement": "UPDATE ... SET gen=? REMOVE claim", "Parameters": place}
    stale = {"Statement": "UPDATE ... SET event=?", "Parameters": place}
    answers = [{}, {}, {}, {"Error": {"Code": "ConditionalCheckFailed"}}]
    asked = dynamodb("BatchExecuteStatement", Statements=[final, again, release, stale])
    assert list(writes(asked, {"Responses": answers}, sizes)) == [
        ("verdict", 2.0),
        ("verdict", 3.0),  # the index entry is one more
        ("release", 1.0),
        ("refused", 1.0),
    ]


def test_a_batch_shares_its_units_by_size() -> None:
    puts = [{"PutRequest": {"Item": item(f"d#{n:04d}", rcpt="a" * n)}} for n in (1, 1500)]
    request = dynamodb("BatchWriteItem", RequestItems={"x-mail": puts})
    answer = {"ConsumedCapacity": [{"TableName": "x-mail", "CapacityUnits": 3.0}]}
    found = list(writes(request, answer, Sizes()))
    assert found == [("delivery put", 1.0), ("delivery put", 2.0)]


def test_entries_in_indexes_are_counted_apart() -> None:
    row = item("d#0000", rcpt="a" * 1_500, rcpt_key="server#1")
    put = dynamodb("PutItem", TableName="x-mail", Item=row)
    assert list(writes(put, consumed(3.0), Sizes())) == [
        ("delivery put", 2.0),
        ("search index", 1.0),
    ]
    names = ", ".join(f"'{name}': ?" for name in row)
    insert = {"Statement": f'INSERT INTO "x-mail" VALUE {{{names}}}', "Parameters": [*row.values()]}
    statement = dynamodb("BatchExecuteStatement", Statements=[insert])
    assert list(writes(statement, {"Responses": [{}]}, Sizes())) == [
        ("delivery put", 2.0),
        ("search index", 1.0),
    ]
    batch = dynamodb("BatchWriteItem", RequestItems={"x-mail": [{"PutRequest": {"Item": row}}] * 2})
    answer = {"ConsumedCapacity": [{"TableName": "x-mail", "CapacityUnits": 6.0}]}
    assert (
        list(writes(batch, answer, Sizes())) == [("delivery put", 2.0), ("search index", 1.0)] * 2
    )
    tag = dynamodb("PutItem", TableName="x-mail", Item=item("t#01", tag_key="server#t#1"))
    assert list(writes(tag, consumed(2.0), Sizes())) == [("search index", 1.0)] * 2


def test_an_item_is_as_large_as_its_names_and_values() -> None:
    assert octets({"pk": {"S": "ab"}, "n": {"N": "1234"}, "yes": {"BOOL": True}}) == 4 + 4 + 4
    assert octets({"b": {"B": "aGVsbG8h"}}) == 1 + 6
    assert octets({}) == 0


def test_capacity_is_asked_for_and_the_rest_stays() -> None:
    request = dynamodb("PutItem", TableName="x-mail", Item=item("s"))
    changed = json.loads(with_capacity(request))
    assert changed == {**request.json, "ReturnConsumedCapacity": "INDEXES"}


STAT = "{} ({}) S {} 1 1 0 -1 4194304 44487 0 2 0 660 177 31 7 20 0 10 0 383554 1114112000 31042"


def test_a_stat_line_is_read_whatever_the_command_is_called() -> None:
    for command in ("python", "a b", "x) S 1 (", "tmux: server"):
        assert parse_stat(STAT.format(17, command, 5)) == Stat(17, 5, 837, 38)
    assert parse_stat(STAT.format(17, "python", 5)).ticks == 875


@pytest.mark.parametrize("text", ["", "17", "17 (python) S 5", "17 (python) S 5 a b c d e f g h"])
def test_what_is_no_stat_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_stat(text)


def test_a_tree_is_its_root_and_all_below_it() -> None:
    family = {1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 9}
    stats = [Stat(pid, parent, 1, 0) for pid, parent in reversed(family.items())]
    assert [stat.pid for stat in below(2, stats)] == [2, 3, 4]
    assert sorted(stat.pid for stat in below(1, stats)) == [1, 2, 3, 4, 5]
    assert below(7, stats) == []


def test_peak_memory_is_read_from_status() -> None:
    assert parse_peak("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t  1234 kB\n") == 1234
    assert parse_peak("Name:\tkthreadd\n") == 0


async def listening(application: web.Application, stack: AsyncExitStack) -> int:
    runner = web.AppRunner(application)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


async def test_the_proxy_passes_octets_on_and_counts_what_went_by(tmp_path: Path) -> None:
    seen: list[tuple[str, bytes]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.raw_path, await request.read()))
        body = (
            json.dumps(consumed(2.0)).encode() if b"TableName" in seen[-1][1] else b"\x1f\x8b\xff"
        )
        return web.Response(status=418, body=body, headers={"X-Amz-Id": "7"})

    async with AsyncExitStack() as stack:
        upstream = web.Application()
        upstream.router.add_route("*", "/{path:.*}", answer)
        ports = replace(Ports(), emulator=await listening(upstream, stack))
        write_config(StackConfig(tmp_path, tmp_path, ports))
        port = await listening(CountingProxy(tmp_path).application(), stack)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{port}"

        put = dynamodb("PutItem", TableName="x-mail", Item=item("s"))
        async with http.post(url, data=put.body, headers=put.headers) as found:
            assert (found.status, found.headers["X-Amz-Id"]) == (418, "7")
            assert await found.json(content_type=None) == consumed(2.0)
        upload = {"authorization": SIGNED.format("s3")}
        async with http.put(f"{url}/b/k%2F1?x=%20", data=b"\0\r\n\xff", headers=upload) as found:
            assert await found.read() == b"\x1f\x8b\xff"
        async with http.get(f"{url}/__counts") as found:
            counts = await found.json()
        async with http.post(f"{url}/__reset"), http.get(f"{url}/__counts") as found:
            nothing = await found.json()

    assert json.loads(seen[0][1])["ReturnConsumedCapacity"] == "INDEXES"
    assert seen[1] == ("/b/k%2F1?x=%20", b"\0\r\n\xff")
    assert counts["calls"] == {"dynamodb.PutItem mail": 1, "s3.PutObject": 1}
    assert counts["writes"] == {"submission": {"count": 1, "units": 2.0}}
    assert nothing == {"calls": {}, "writes": {}}


def test_an_inserted_row_is_counted_as_what_it_is() -> None:
    row = {"pk": {"S": "abcdefghij#5"}, "sk": {"S": "s"}, "inline": {"S": "x" * 2_000}}
    statement = "INSERT INTO \"mailroom-mail\" VALUE {'pk': ?, 'sk': ?, 'inline': ?}"
    asked = dynamodb(
        "BatchExecuteStatement",
        Statements=[{"Statement": statement, "Parameters": list(row.values())}] * 2,
    )
    answers = [{}, {"Error": {"Code": "DuplicateItem"}}]
    assert list(writes(asked, {"Responses": answers}, Sizes())) == [
        ("submission", 2.0),
        ("refused", 1.0),
    ]
