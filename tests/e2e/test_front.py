"""The front passes bytes and decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from yarl import URL

from localstack.front import Route, application, parse_route


@dataclass
class Upstream:
    """A server that remembers what it was asked and answers as told."""

    seen: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)
    answer: Callable[[], web.Response] = lambda: web.Response(text="fine")


async def listen(runner: web.BaseRunner) -> int:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port: int = runner.addresses[0][1]
    return port


@dataclass
class Pair:
    upstream: Upstream
    runner: web.BaseRunner
    url: str
    session: ClientSession


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    upstream = Upstream()

    async def reply(request: web.BaseRequest) -> web.StreamResponse:
        upstream.seen.append((request, await request.read()))
        return upstream.answer()

    behind = web.ServerRunner(web.Server(reply))
    port = await listen(behind)
    async with ClientSession(auto_decompress=False) as session:
        app = application(
            f"http://127.0.0.1:{port}", Route(0, "ab12.execute-api.localhost"), session
        )
        front = web.AppRunner(app)
        url = f"http://127.0.0.1:{await listen(front)}"
        async with ClientSession(timeout=ClientTimeout(20)) as client:
            yield Pair(upstream, behind, url, client)
        await front.cleanup()
    await behind.cleanup()


async def test_path_and_query_arrive_as_they_were_sent(pair: Pair) -> None:
    target = "/a%2Fb//c;x=1/%E2%9C%93?q=%26&q=2&flag&empty="
    await pair.session.get(URL(pair.url + target, encoded=True))
    assert pair.upstream.seen[0][0].raw_path == target


async def test_the_host_is_the_one_the_emulator_knows(pair: Pair) -> None:
    await pair.session.get(pair.url, headers={"X-Forwarded-For": "192.0.2.7", "X-Twice": "1"})
    headers = pair.upstream.seen[0][0].headers
    assert headers["Host"] == "ab12.execute-api.localhost"
    assert headers["X-Forwarded-For"] == "192.0.2.7, 127.0.0.1"
    assert headers["X-Twice"] == "1"


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_arrives_whole(pair: Pair, chunked: bool) -> None:
    body = bytes(range(256)) * 4000

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    await pair.session.post(pair.url, data=parts() if chunked else body)
    assert pair.upstream.seen[0][1] == body


async def test_the_answer_comes_back_untouched(pair: Pair) -> None:
    pair.upstream.answer = lambda: web.Response(
        status=302,
        headers=[
            ("Location", "https://example.com/?a=1"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
        ],
        body=b"\x00\xff",
    )
    answer = await pair.session.get(pair.url, allow_redirects=False)
    assert answer.status == 302
    assert answer.headers["Location"] == "https://example.com/?a=1"
    assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert await answer.read() == b"\x00\xff"


async def test_head_gets_no_body_and_delete_keeps_its_method(pair: Pair) -> None:
    assert await (await pair.session.head(pair.url)).read() == b""
    await pair.session.delete(pair.url)
    assert [request.method for request, _ in pair.upstream.seen] == ["HEAD", "DELETE"]


async def test_a_dead_emulator_is_a_clear_502(pair: Pair) -> None:
    await pair.runner.cleanup()
    async with asyncio.timeout(20):
        answer = await pair.session.get(pair.url)
    assert answer.status == 502
    assert "emulator does not answer" in await answer.text()


def test_a_route_needs_a_port_and_a_host() -> None:
    assert parse_route("8080=a.b:4566") == Route(8080, "a.b:4566")
    with pytest.raises(ValueError, match="PORT=HOST"):
        parse_route("8080")
