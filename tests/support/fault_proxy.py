"""A proxy before the emulator that spoils chosen AWS calls."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from localstack.config import LOOPBACK

_DATED = re.compile(r"^/\d{4}-\d\d-\d\d")
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


CREATE_FUNCTION = ("POST", "/functions")


class Fault(StrEnum):
    """What happens to a call. DENIED: it is not done and answered 403, which nobody repeats.
    REFUSED: it is not done and answered 500, which the provider repeats. LOST: it is done and
    answered 500. HELD: it is done and not answered until `FaultProxy.release`.
    """

    DENIED = "denied"
    REFUSED = "refused"
    LOST = "lost"
    HELD = "held"


class FaultProxy:
    """Forwards to the emulator at `upstream` (a port); `port` is its own.

    A call is named by its target or action (`CreateTable`), else by method and path without the
    version (`POST /v2/apis`), the making of a function also by whose it is
    (`POST /functions acme-api`). Each fault happens to the first call of its name.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._faults: dict[str, Fault] = {}
        self._awaited: set[str] = set()
        self._lock = threading.Condition()
        self._released = threading.Event()
        self._server = _Server((LOOPBACK, 0), self._handler())
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def spoil(self, faults: dict[str, Fault]) -> None:
        """Let these faults happen, once each."""
        with self._lock:
            self._released.clear()
            self._faults = dict(faults)
            self._awaited = set(faults)

    def wait(self, seconds: float) -> None:
        """Return when every fault has happened. Raises TimeoutError, naming those that have not."""
        with self._lock:
            if not self._lock.wait_for(lambda: not self._awaited, seconds):
                raise TimeoutError(f"not seen: {sorted(self._awaited)}")

    def release(self) -> None:
        """Answer what is held."""
        self._released.set()

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Release what is held and take no more calls."""
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> "Answer":
        """Return what the caller gets."""
        name = call_name(method, path, headers, body)
        with self._lock:
            fault = self._faults.pop(name, None)
        given = _NOT_DONE.get(fault) or self._forward(method, path, headers, body)
        with self._lock:
            if fault is not None:
                self._awaited.discard(name)
                self._lock.notify_all()
        if fault is Fault.HELD:
            self._released.wait()
        return BROKEN if fault is Fault.LOST else given

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> "Answer":
        connection = http.client.HTTPConnection(LOOPBACK, self._upstream, timeout=120)
        try:
            # The emulator takes its own address from the Host header, for the URLs of queues.
            own = {**headers, "Host": f"{LOOPBACK}:{self._upstream}"}
            connection.request(method, path, body, own)
            got = connection.getresponse()
            kept = {k: v for k, v in got.getheaders() if k.lower() not in _HOP_BY_HOP}
            return got.status, kept, got.read()
        finally:
            connection.close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                dropped = ("host", "connection", "content-length", "expect")
                headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
                try:
                    self._reply(*proxy.answer(self.command, self.path, headers, body))
                except OSError:
                    self.close_connection = True  # the caller is dead

            def _reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                self.wfile.flush()

        return Handler


Answer = tuple[int, dict[str, str], bytes]


def _error(status: int, name: str) -> Answer:
    text = json.dumps({"__type": name, "message": "spoilt by the test"})
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amzn-ErrorType": name}
    return status, headers, text.encode()


BROKEN = _error(500, "InternalFailure")
_NOT_DONE: dict[Fault | None, Answer] = {
    Fault.DENIED: _error(403, "AccessDeniedException"),
    Fault.REFUSED: BROKEN,
}


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that was killed is no news."""


def call_name(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """Return what a fault is asked for by."""
    target = {name.lower(): value for name, value in headers.items()}.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    action = parse_qs(body.decode(errors="replace")).get("Action") if method == "POST" else None
    plain = _DATED.sub("", path.partition("?")[0]).rstrip("/")
    if action:
        return action[0]
    whose = json.loads(body)["FunctionName"] if (method, plain) == CREATE_FUNCTION else ""
    return f"{method} {plain} {whose}".rstrip()


@contextmanager
def fault_proxy(upstream: int) -> Iterator[FaultProxy]:
    """Run a proxy before the emulator at the port `upstream`."""
    proxy = FaultProxy(upstream)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
