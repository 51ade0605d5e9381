"""`python -m bench.api_calls_worker COUNT PROXY`: the API function's handler, called in process.

Run with the variables of the function. Real adapters on the emulator behind the counting proxy.
Prints for each operation its status, CPU and the AWS calls of one call, as JSON.
"""

import contextlib
import io
import json
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import uuid4

from bench.stand import get_json, reset_counts
from mailroom.adapters.chalice_http import Handler, http_api

SENT = {
    "from": "hello@demo.mailroom.test",
    "to": ["bench@sim.test"],
    "subject": "Bench",
    "text": "A short text.",
}
# Writes that leave things as they were, or add what nobody minds.
WRITES: Mapping[str, tuple[str, str, Any]] = {
    "servers.update": ("PATCH", "/servers/{server}", {"name": "Main"}),
    "webhooks.create": (
        "POST",
        "/servers/{server}/webhooks",
        {"name": "Bench", "url": "https://example.org/hook", "enabled": False},
    ),
    "templates.create": ("POST", "/servers/{server}/templates", {"name": "Bench"}),
    "sending.send": ("POST", "/servers/{server}/messages", SENT),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the handler as the gateway would, with one key."""

    handler: Handler
    key: str

    def __call__(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Return the answer of one call."""
        address, _, query = path.partition("?")
        event = {
            "version": "2.0",
            "rawPath": f"/api/v2{address}",
            "rawQueryString": query,
            "headers": {
                "authorization": f"Bearer {self.key}",
                "content-type": "application/json",
                "idempotency-key": uuid4().hex,
            },
            "requestContext": {
                "requestId": "bench",
                "domainName": "api.test",
                "http": {"method": method, "path": address, "sourceIp": "127.0.0.1"},
            },
            "body": None if body is None else json.dumps(body),
            "isBase64Encoded": False,
        }
        return self.handler(event, None)


def calls(ids: Mapping[str, str]) -> Iterator[tuple[str, str, str, Any]]:
    """Yield id, method, path and body of every operation that reads, and of some that write."""
    from mail_api.v2.table import OPERATIONS

    known = {each.id for each in OPERATIONS}
    for each in OPERATIONS:
        if each.method == "GET" and set(each.parameters) <= ids.keys():
            yield each.id, "GET", _filled(each.path, ids), None
    for name, (method, path, body) in WRITES.items():
        if name in known:
            yield name, method, _filled(path, ids), body


def measured(call: Caller, proxy: str, count: int, ids: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of each operation."""
    found = {}
    for name, method, path, body in calls(ids):
        call(method, path, body)  # caches are warm, connections are open
        reset_counts(proxy)
        status = call(method, path, body)["statusCode"]
        aws = get_json(proxy + "/__counts")["calls"]
        cpu = []
        for _ in range(count):
            began = time.process_time()
            call(method, path, body)
            cpu.append(time.process_time() - began)
        found[name] = {
            "status": status,
            "cpu_ms_p50": round(statistics.median(cpu) * 1000, 2),
            "aws_calls": aws,
        }
    return found


def main(count: int, proxy: str, key: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """Measure every operation once and print nothing else."""
    from mail_api.door import create_whole, lazy_desk
    from mail_api.wiring import from_environment

    api = cache(from_environment)
    handler = http_api(create_whole(api, lazy_desk(api)))
    # The log line of each call is made and written, as on Lambda, but not to our terminal.
    with contextlib.redirect_stderr(io.StringIO()):
        return measured(Caller(handler, key), proxy, count, ids)


def _filled(path: str, ids: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))))
