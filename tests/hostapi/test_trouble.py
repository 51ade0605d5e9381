"""Clients that are slow, many, gone, confused or hostile."""

import asyncio
import json
import random
from typing import Any

import pytest

from hostapi.limits import HttpLimits, Shares
from mailroom.adapters.chalice_http import Handler
from tests.hostapi.stand import JSON_CALL, Stand, request, until
from tests.support.api_calls import KEY, OTHER_KEY, MemoryApi

HELLO = request("GET", "/health", None, {})


@pytest.mark.parametrize(
    "beginning", [b"", b"G", HELLO[:-2], HELLO[:-4] + b"\r\nX-A: " + b"a" * 9_000]
)
async def test_a_header_that_never_ends_ends_the_connection(beginning: bytes) -> None:
    async with Stand(limits={"idle_time": 0.2}).serving() as stand:
        client = await stand.client()
        await client.send(beginning)
        assert await client.is_hung_up_on()


async def test_a_header_that_drips_gains_no_time_by_it() -> None:
    async with Stand(limits={"idle_time": 0.2}).serving() as stand:
        client = await stand.client()

        await client.send(HELLO[:-2] + b"X-A: ")

        async def drip() -> None:
            while True:
                await client.send(b"a")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await client.is_hung_up_on()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_a_connection_that_says_no_more_is_closed() -> None:
    async with Stand(limits={"idle_time": 0.2}).serving() as stand:
        client = await stand.client()
        assert (await client.ask("GET", "/health")).status == 200
        assert await client.is_hung_up_on()


@pytest.mark.parametrize("limits", [{"body_pause": 0.1}, {"body_time": 0.1}])
@pytest.mark.parametrize("how", [{"Content-Length": "10"}, {"Transfer-Encoding": "chunked"}])
async def test_a_body_that_does_not_come_is_a_408(
    limits: dict[str, Any], how: dict[str, str]
) -> None:
    async with Stand(limits=limits | {"linger_time": 0.1}).serving() as stand:
        client = await stand.client()
        await client.send(request("POST", "/api/v1/send/raw", None, how | JSON_CALL))
        answer = await client.answer()
        assert (answer.status, answer.json["Code"]) == (408, "RequestTimeoutError")
        assert await client.is_hung_up_on()
        assert stand.memory.is_untouched


async def test_whoever_does_not_take_the_answer_is_cut_off() -> None:
    def long_answer(_: MemoryApi) -> Handler:
        return lambda *_: {
            "statusCode": 200, "headers": {}, "body": "x" * 50_000_000, "isBase64Encoded": False,
        }  # fmt: skip

    async with Stand(handler_of=long_answer, limits={"answer_time": 0.2}).serving() as stand:
        client = await stand.client()
        await client.send(HELLO)
        await until(lambda: not stand.server.connections)


@pytest.mark.parametrize(
    "limits", [{"connections": 3}, {"connections_per_client": 3}], ids=["in all", "by client"]
)
async def test_one_connection_too_many_is_closed_and_room_is_made_again(
    limits: dict[str, Any],
) -> None:
    async with Stand(limits=limits).serving() as stand:
        clients = [await stand.client() for _ in range(3)]
        with pytest.raises(OSError):
            await stand.client()
        for client in clients:
            assert (await client.ask("GET", "/health")).status == 200
        clients[0].hang_up()
        await until(lambda: stand.server.connections == 2)
        assert (await (await stand.client()).ask("GET", "/health")).status == 200


async def test_a_load_balancer_has_as_many_connections_as_all_together() -> None:
    limits = {"connections_per_client": 1}
    async with Stand(limits=limits, proxies=("127.0.0.0/8",)).serving() as stand:
        clients = [await stand.client() for _ in range(5)]
        for client in clients:
            assert (await client.ask("GET", "/health")).status == 200


async def test_requests_over_the_limit_are_told_to_come_later() -> None:
    opened, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait() -> None:
        asyncio.run_coroutine_threadsafe(opened.wait(), loop).result(30)

    async with Stand(limits={"requests": 2}, before=wait).serving() as stand:
        waiting = [await stand.client() for _ in range(2)]
        for client in waiting:
            await client.send(HELLO)
        await until(lambda: len(stand.server.counter.busy) == 2)
        one_more = await stand.client()
        answer = await one_more.ask("GET", "/health")
        assert (answer.status, answer.json["Code"]) == (503, "ServiceUnavailableError")
        assert int(answer.headers["retry-after"]) > 0
        assert answer.headers["connection"] == "close"
        opened.set()
        for client in waiting:
            assert (await client.answer()).status == 200


async def test_each_of_many_callers_gets_the_answer_to_its_own_call() -> None:
    keys = {KEY: "abcdefghij", OTHER_KEY: "klmnopqrst"}
    async with Stand(threads=8).serving() as stand:

        async def call(number: int) -> None:
            key = random.choice(list(keys))
            body = {
                "to": [f"n{number}@example.org"], "from": "shop@demo.test", "plain_body": "x",
                "tag": f"{key[0]}{number}",
            }  # fmt: skip
            client = await stand.client()
            headers = JSON_CALL | {"X-Server-API-Key": key}
            for _ in range(5):
                octets = json.dumps(body).encode()
                sent = await client.ask("POST", "/api/v1/send/message", octets, **headers)
                assert list(sent.json["data"]["messages"]) == body["to"], sent.json
            client.hang_up()

        await asyncio.gather(*(call(number) for number in range(40)))
        submissions = stand.memory.ledger.submissions.values()
        assert len(submissions) == 200
        for submission in submissions:
            assert submission.tag is not None
            key = next(key for key in keys if key[0] == submission.tag[0])
            assert submission.server == keys[key]


@pytest.mark.parametrize("cut", ["header", "body", "large body", "chunk", "answer"])
async def test_a_cut_connection_leaves_nothing_behind(cut: str) -> None:
    beginnings = {
        "header": HELLO[:20],
        "body": request("POST", "/", None, {"Content-Length": "100"}) + b"x" * 50,
        "large body": request("POST", "/", None, {"Content-Length": "900000"}) + b"x" * 600_000,
        "chunk": request("POST", "/", None, {"Transfer-Encoding": "chunked"}) + b"64\r\nxx",
        "answer": HELLO,
    }
    async with Stand().serving() as stand:
        client = await stand.client()
        await client.send(beginnings[cut])
        if "body" in cut:
            await until(lambda: stand.server.counter.held.taken > 0)
        client.hang_up()
        await until(lambda: not stand.server.connections and not stand.server.counter.busy)
        assert stand.server.counter.held.taken == 0
        assert stand.memory.is_untouched


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        body = b"{}"
        call = request("POST", "/api/v1/send/message", body, JSON_CALL)
        missing = request("GET", "/nothing", None, {})
        await client.send(HELLO + call + missing + HELLO)
        statuses = [(await client.answer()).status for _ in range(4)]
        assert statuses == [200, 200, 404, 200]


@pytest.mark.parametrize(
    "octets",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /health HTTP/9.9\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nX-A: b\r\n folded: c\r\n\x00: d\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \x01\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_400_and_the_end(octets: bytes) -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        await client.send(octets)
        answer = await client.answer()
        assert (answer.status, answer.json["Code"]) == (400, "BadRequestError")
        assert "Traceback" not in answer.body.decode()
        assert await client.is_hung_up_on()


@pytest.mark.parametrize("chunk", [b"xyz\r\n", b"5\r\nab\r\n\r\n\r\n", b"-1\r\n", b"5 5\r\nhello"])
async def test_broken_chunks_are_a_400(chunk: bytes) -> None:
    async with Stand(limits={"linger_time": 0.1}).serving() as stand:
        client = await stand.client()
        begun = request("POST", "/api/v1/send/raw", None, {"Transfer-Encoding": "chunked"})
        await client.send(begun + b"3\r\nabc\r\n" + chunk)
        assert (await client.answer()).status == 400
        assert stand.memory.is_untouched


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/health", {"X-A": "a" * (16 * 1024 + 1)}, 431),
        ("/health", {"a" * (16 * 1024 + 1): "b"}, 431),
        ("/health", {f"X-{n}": "a" for n in range(101)}, 431),
        ("/health?" + "a" * 8 * 1024, {}, 414),
        ("/health", {"X-A": "a" * (16 * 1024)}, 200),
        ("/health", {f"X-{n}": "a" for n in range(98)}, 200),
        ("/health?" + "a" * (8 * 1024 - 8), {}, 200),
    ],
)
async def test_a_header_has_limits(target: str, fields: dict[str, str], status: int) -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        answer = await client.ask("GET", target, None, **fields)
        assert answer.status == status
        assert set(answer.json) == ({"status"} if status == 200 else {"Code", "Message"})


async def test_a_refusal_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with Stand(proxies=("127.0.0.1/32",)).serving() as stand:
        client = await stand.client()
        announced = {"Content-Length": "99999999", "X-Forwarded-For": "192.0.2.9"}
        await client.send(request("POST", "/api/v1/send/raw?secret", None, announced))
        assert (await client.answer()).status == 413
    (line,) = (vars(each) for each in caplog.records if each.getMessage() == "http")
    assert (line["status"], line["client"]) == (413, "192.0.2.9")
    assert (line["method"], line["path"]) == ("POST", "/api/v1/send/raw")


async def test_an_app_that_breaks_is_a_500_without_a_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_: MemoryApi) -> Handler:
        def handler(*_: Any) -> dict[str, Any]:
            raise RuntimeError("a secret place")

        return handler

    async with Stand(handler_of=broken).serving() as stand:
        client = await stand.client()
        answer = await client.ask("GET", "/health")
        assert (answer.status, answer.json["Code"]) == (500, "InternalServerError")
        assert "secret" not in answer.body.decode()
    assert "a secret place" in caplog.text


def test_shares_are_counted_in_all_and_by_client() -> None:
    shares = Shares(10, 4)
    assert shares.take("192.0.2.1", 4)
    assert not shares.take("192.0.2.1")
    assert not shares.take("::ffff:192.0.2.1")
    assert shares.take("2001:db8::1", 4)
    assert not shares.take("2001:db8::2")
    assert shares.take("", 2)
    assert not shares.take("")
    shares.give_back("192.0.2.1", 4)
    assert shares.taken == 6
    assert shares.take("192.0.2.1", 4)


def test_the_usual_limits_let_the_largest_message_in() -> None:
    limits = HttpLimits(77 * 1024 * 1024)
    assert limits.held_per_client >= limits.body


async def test_an_upgrade_is_declined_and_the_connection_goes_on() -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
        await client.send(request("GET", "/health", None, upgrade) + HELLO)
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("field", ["", "Connection: keep-alive\r\n"])
async def test_http_1_0_is_answered(field: str) -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        await client.send(f"GET /health HTTP/1.0\r\nHost: a\r\n{field}\r\n".encode())
        assert (await client.answer()).json == {"status": "ok"}
        if not field:
            assert await client.is_hung_up_on()
