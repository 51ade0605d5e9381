"""`python -m bench.http_load`: calls of Postal's `send/raw` over kept connections. See `bench.load`
for how it is driven.
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Iterator

import aiohttp

from bench.load import HTTP_WARM_UP, HttpLoad, LoadError
from bench.sample import sized

PATH = "/api/v1/send/raw"


def body_of(load: HttpLoad) -> bytes:
    """Return the JSON of one call."""
    raw = base64.b64encode(sized(load.octets, load.author)).decode()
    call = {"mail_from": load.author, "rcpt_to": [load.recipient], "data": raw}
    return json.dumps(call).encode()


async def run(load: HttpLoad) -> None:
    """Prepare, wait for the word, call, report."""
    headers = {"X-Server-API-Key": load.key, "Content-Type": "application/json", "Host": load.host}
    timeout = aiohttp.ClientTimeout(total=120)
    connector = aiohttp.TCPConnector(limit=load.connections)
    body = body_of(load)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as http:
        url = load.url + PATH
        await _all(http, url, body, range(HTTP_WARM_UP * load.connections), load.connections)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.perf_counter()
        await _all(http, url, body, range(load.messages), load.connections)
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)


async def _all(
    http: aiohttp.ClientSession, url: str, body: bytes, numbers: range, connections: int
) -> None:
    waiting = iter(numbers)
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_work(http, url, body, waiting))


async def _work(http: aiohttp.ClientSession, url: str, body: bytes, numbers: Iterator[int]) -> None:
    for _ in numbers:
        async with http.post(url, data=body) as answer:
            said = await answer.text()
        if '"success"' not in said[:40]:
            raise LoadError(f"refused: {answer.status} {said[:300]}")


def main() -> int:
    """Read the load from standard input and run it; return the exit code."""
    load = HttpLoad(**json.loads(sys.stdin.readline()))
    failed = False
    try:
        asyncio.run(run(load))
    except* (LoadError, aiohttp.ClientError, TimeoutError) as problems:
        sys.stderr.write("; ".join(map(str, problems.exceptions)) + "\n")
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
