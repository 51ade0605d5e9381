"""Large bodies: taken to the last octet, kept in files, refused before they are read."""

import asyncio
import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from hostapi.limits import MEGABYTE
from mailroom.adapters.chalice_http import Handler
from mailroom.fakes.memory import MemoryBodies
from tests.hostapi.stand import JSON_CALL, Client, Stand, request, until
from tests.support.api_calls import MemoryApi

RAW = "/api/v1/send/raw"
HEAD = b"From: shop@demo.test\r\nTo: ann@example.org\r\nSubject: large\r\n\r\n"


def raw_call(message: bytes) -> bytes:
    call = {
        "rcpt_to": ["ann@example.org"],
        "mail_from": "shop@demo.test",
        "data": base64.b64encode(message).decode(),
    }
    return json.dumps(call).encode()


def message_of(octets: int) -> bytes:
    """A message of exactly so many octets."""
    lines = b"x" * 70 + b"\r\n"
    return (HEAD + lines * (octets // 72 + 1))[: octets - 2] + b"\r\n"


def octets_of(memory: MemoryApi) -> Handler:
    """An app that says how long the body was and stores nothing."""

    def handler(event: Any, _: Any) -> dict[str, Any]:
        body = event["body"]
        found = len(body.encode("utf-8")) if body else 0
        return {
            "statusCode": 200,
            "headers": {},
            "body": json.dumps(found),
            "isBase64Encoded": False,
        }

    return handler


async def test_a_message_of_20_mb_is_accepted_and_stored_whole() -> None:
    raw = message_of(20 * MEGABYTE)
    async with Stand(message=25 * MEGABYTE).serving() as stand:
        client = await stand.client()
        answer = await client.ask("POST", RAW, raw_call(raw), **JSON_CALL)
        assert answer.json["status"] == "success"
        assert list(stand.memory.bodies.stored.values()) == [raw]
        assert len(stand.memory.lane.sent) == 1


async def test_an_attachment_of_15_mb_is_accepted() -> None:
    content = os.urandom(15 * MEGABYTE)
    call = {
        "to": ["ann@example.org"],
        "from": "shop@demo.test",
        "plain_body": "look",
        "attachments": [{"name": "a.bin", "data": base64.b64encode(content).decode()}],
    }
    async with Stand(message=25 * MEGABYTE).serving() as stand:
        client = await stand.client()
        answer = await client.ask(
            "POST", "/api/v1/send/message", json.dumps(call).encode(), **JSON_CALL
        )
        assert answer.json["status"] == "success"
        (raw,) = stand.memory.bodies.stored.values()
        assert base64.encodebytes(content)[:76] in raw


@pytest.mark.parametrize("more", [0, 1])
async def test_the_message_limit_holds_to_the_octet(more: int) -> None:
    raw = message_of(MEGABYTE + more)
    async with Stand(message=MEGABYTE).serving() as stand:
        client = await stand.client()
        envelope = (await client.ask("POST", RAW, raw_call(raw), **JSON_CALL)).json
        assert envelope["status"] == ("parameter-error" if more else "success")
        assert bool(stand.memory.bodies.stored) is not more


async def chunked(client: Client, body: bytes, size: int) -> None:
    fields = {"Transfer-Encoding": "chunked"}
    await client.send(request("POST", "/", None, fields))
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        await client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    await client.send(b"0\r\n\r\n")


async def whole(client: Client, body: bytes, _: int) -> None:
    await client.send(request("POST", "/", body, {}))


@pytest.mark.parametrize("sent", [chunked, whole])
@pytest.mark.parametrize("size", [7_000, 100_000])
async def test_the_body_limit_holds_to_the_octet(sent: Any, size: int) -> None:
    async with Stand(handler_of=octets_of, limits={"body": 300_000}).serving() as stand:
        client = await stand.client()
        for octets in (0, 1, 299_999, 300_000):
            await sent(client, b"x" * octets, size)
            answer = await client.answer()
            assert (answer.status, answer.json) == (200, octets)
        await sent(client, b"x" * 300_001, size)
        answer = await client.answer()
        assert answer.status == 413
        assert answer.json["Code"] == "RequestEntityTooLargeError"
        assert await client.is_hung_up_on()


async def test_an_announced_body_is_refused_before_it_is_sent() -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        announced = {"Content-Length": str(stand.body_limit + 1)}
        await client.send(request("POST", RAW, None, announced | JSON_CALL))
        assert (await client.answer()).status == 413


@pytest.mark.parametrize(("extra", "status"), [(0, 100), (1, 413)])
async def test_whoever_asks_first_is_told_to_go_on_or_not(extra: int, status: int) -> None:
    async with Stand(handler_of=octets_of).serving() as stand:
        client, octets = await stand.client(), stand.body_limit + extra
        announced = {"Content-Length": str(octets), "Expect": "100-continue"}
        await client.send(request("POST", "/", None, announced))
        assert (await client.answer()).status == status
        if status == 100:
            await client.send(b"x" * octets)
            assert (await client.answer()).json == octets


@pytest.mark.parametrize(("octets", "files"), [(1_000, 0), (1_001, 1)])
async def test_only_a_large_body_goes_into_a_file_and_none_is_left(
    octets: int, files: int, tmp_path: Path
) -> None:
    seen: list[int] = []

    def count_files() -> None:
        links = (os.path.realpath(each) for each in Path("/proc/self/fd").iterdir())
        seen.append(sum(link.startswith(str(tmp_path)) for link in links))

    def listed() -> list[Path]:
        return list(tmp_path.iterdir())

    stand = Stand(
        handler_of=octets_of, limits={"in_memory": 1_000}, folder=tmp_path, before=count_files
    )
    async with stand.serving():
        client = await stand.client()
        assert (await client.ask("POST", "/", b"x" * octets)).json == octets
        assert listed() == []
        count_files()
        assert seen == [files, 0]


@pytest.mark.parametrize("limits", [{"held": 500}, {"held_per_client": 500}])
async def test_bodies_that_would_be_too_much_together_are_told_to_come_later(
    limits: dict[str, Any],
) -> None:
    async with Stand(handler_of=octets_of, limits=limits).serving() as stand:
        first, second = await stand.client(), await stand.client()
        await first.send(request("POST", "/", None, {"Content-Length": "400"}))
        await until(lambda: stand.server.counter.held.taken == 400)
        answer = await second.ask("POST", "/", b"x" * 101)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        await first.send(b"x" * 400)
        assert (await first.answer()).json == 400
        third = await stand.client()
        assert (await third.ask("POST", "/", b"x" * 500)).json == 500


async def test_a_large_body_does_not_hold_up_a_small_call() -> None:
    loop, opened = asyncio.get_running_loop(), asyncio.Event()
    started = asyncio.Event()

    def waiting(memory: MemoryApi) -> Handler:
        inner = octets_of(memory)

        def handler(event: Any, context: Any) -> dict[str, Any]:
            if event["body"] is not None and event["body"].octets > 1_000:
                loop.call_soon_threadsafe(started.set)
                asyncio.run_coroutine_threadsafe(opened.wait(), loop).result(30)
            return inner(event, context)

        return handler

    limits = {"in_memory": 1_000}
    async with Stand(handler_of=waiting, limits=limits, threads=1, large_threads=1).serving() as s:
        large, waits, small = await s.client(), await s.client(), await s.client()
        await large.send(request("POST", "/", b"x" * 2_000, {}))
        await waits.send(request("POST", "/", b"x" * 3_000, {}))
        await started.wait()
        assert (await small.ask("POST", "/", b"x" * 10)).json == 10
        opened.set()
        assert (await large.answer()).json == 2_000
        assert (await waits.answer()).json == 3_000


async def test_an_answer_of_many_megabytes_arrives_whole() -> None:
    body = "é" * (5 * MEGABYTE)

    def long_answer(_: MemoryApi) -> Handler:
        return lambda *_: {
            "statusCode": 200,
            "headers": {"content-type": "text/plain"},
            "body": body,
            "isBase64Encoded": False,
        }

    async with Stand(handler_of=long_answer).serving() as stand:
        client = await stand.client()
        answer = await client.ask("GET", "/")
        assert answer.body == body.encode()
        assert (await client.ask("HEAD", "/")).headers["content-length"] == str(len(answer.body))


async def test_the_answer_may_be_as_large_as_the_message() -> None:
    raw = message_of(7 * MEGABYTE)
    async with Stand(message=8 * MEGABYTE).serving() as stand:
        client = await stand.client()
        sent = (await client.ask("POST", RAW, raw_call(raw), **JSON_CALL)).json
        (made,) = sent["data"]["messages"].values()
        wanted = json.dumps({"id": made["id"], "_expansions": ["raw_message"]}).encode()
        shown = (await client.ask("POST", "/api/v1/messages/message", wanted, **JSON_CALL)).json
        assert base64.b64decode(shown["data"]["raw_message"]) == raw


async def test_no_more_calls_work_with_large_messages_than_there_are_shares() -> None:
    raw = message_of(MEGABYTE)
    most, now, lock = [0], [0], threading.Lock()

    class Watched(MemoryBodies):
        def get(self, key: str) -> bytes:
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            try:
                return super().get(key)
            finally:
                with lock:
                    now[0] -= 1

    stand = Stand(message=2 * MEGABYTE, threads=8, large_threads=2)
    stand.memory.bodies = Watched()
    async with stand.serving():
        client = await stand.client()
        sent = (await client.ask("POST", RAW, raw_call(raw), **JSON_CALL)).json
        (made,) = sent["data"]["messages"].values()
        wanted = json.dumps({"id": made["id"], "_expansions": ["raw_message"]}).encode()

        async def read() -> None:
            reader = await stand.client()
            path = "/api/v1/messages/message"
            shown = (await reader.ask("POST", path, wanted, **JSON_CALL)).json
            assert base64.b64decode(shown["data"]["raw_message"]) == raw

        await asyncio.gather(*(read() for _ in range(20)))
        assert 0 < most[0] <= 2


async def test_long_answers_have_their_share_until_they_are_taken() -> None:
    def long_answer(_: MemoryApi) -> Handler:
        return lambda *_: {
            "statusCode": 200,
            "headers": {},
            "body": "x" * 9_000_000,
            "isBase64Encoded": False,
        }

    async with Stand(handler_of=long_answer, limits={"held": 10_000_000}).serving() as stand:
        slow, other = await stand.client(), await stand.client()
        await slow.send(request("GET", "/", None, {}))
        await until(lambda: stand.server.counter.held.taken == 9_000_000)
        answer = await other.ask("GET", "/")
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert len((await slow.answer()).body) == 9_000_000
        await until(lambda: stand.server.counter.held.taken == 0)
