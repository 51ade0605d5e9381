"""`python -m bench.api_worker MESSAGES OCTETS`: the API function's handler, ledger in memory.

One event after the other, as one Lambda worker gets them. Prints seconds and CPU seconds as JSON.
"""

import contextlib
import io
import json
import resource
import sys
import time
from typing import Any

from mail_api.routes import create_app
from mail_api.wiring import Api

from bench.http_load import PATH, body_of
from bench.load import HttpLoad
from bench.memory_platform import API_KEY, DOMAIN, accept_ports, directory
from mailroom.adapters.chalice_http import Handler, http_api

_WARM_UP = 20


def event(body: bytes) -> dict[str, Any]:
    """Return the event an HTTP API would send for one call (payload format 2.0)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": PATH,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "x-server-api-key": API_KEY},
        "requestContext": {
            "requestId": "bench",
            "domainName": "api.test",
            "http": {"method": "POST", "path": PATH, "sourceIp": "127.0.0.1", "userAgent": "bench"},
        },
        "body": body.decode(),
        "isBase64Encoded": False,
    }


def run(messages: int, octets: int) -> dict[str, float]:
    """Handle that many calls. Raises RuntimeError when one is refused."""
    load = HttpLoad("", "", API_KEY, messages, octets, 1, f"bench@{DOMAIN}", "accept@sim.test")
    known = directory()
    ports = accept_ports(known)
    api = Api(
        ports=ports,
        token_secret=lambda: known.current_key("token").secret,
        return_path_domain=f"rp.{DOMAIN}",
        web_hostname=DOMAIN,
    )
    handler = http_api(create_app(lambda: api), max_body=128 * 1024 * 1024)
    call = event(body_of(load))
    # The log line of each call is made and written, as on Lambda, but not to our terminal.
    with contextlib.redirect_stderr(io.StringIO()):
        _handle(handler, call, _WARM_UP)
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        _handle(handler, call, messages)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu}


def _handle(handler: Handler, call: dict[str, Any], times: int) -> None:
    for _ in range(times):
        answer = handler(call, None)
        if '"success"' not in str(answer["body"])[:40]:
            raise RuntimeError(f"refused: {answer['statusCode']} {answer['body'][:300]}")


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]))))
