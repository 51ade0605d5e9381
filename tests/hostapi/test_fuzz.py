"""Whatever a client sends: no answer is a 5xx but a busy 503, and the next client is served."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostapi.stand import Client, Stand

PIECES = [
    b"GET ", b"POST ", b"/health", b"/api/v1/send/raw", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n",
    b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n",
    b"Connection: close\r\n", b"Connection: Upgrade\r\n", b"Content-Encoding: gzip\r\n", b"\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"hello", b"\x00", b"\xff\xfe", b": ", b"\n", b" ",
    b"X-Server-API-Key: kkkkkkkkkkkkkkkkkkkkkkkk\r\n", b"Content-Type: application/json\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]  # fmt: skip
traffic = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=20).map(b"".join)


async def answers_to(octets: bytes) -> bytes:
    limits = {"idle_time": 0.1, "body_pause": 0.1, "linger_time": 0.05}
    async with Stand(limits=limits).serving() as stand:
        client = await Client.connect(stand.port)
        try:
            await client.send(octets)
            async with asyncio.timeout(20):
                said = await client.reader.read(-1)
        except ConnectionError:
            said = b""
        client.hang_up()
        after = await stand.client()
        assert (await after.ask("GET", "/health")).status == 200
        return said


@settings(max_examples=60, deadline=None)
@given(traffic)
def test_nothing_a_client_sends_breaks_the_server(octets: bytes) -> None:
    said = asyncio.run(answers_to(octets))
    assert b"HTTP/1.1 5" not in said.replace(b"HTTP/1.1 503", b"")
