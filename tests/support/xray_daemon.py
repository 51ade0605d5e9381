"""A daemon stub: takes the datagrams of X-Ray segments and keeps what they say."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HEADER = b'{"format":"json","version":1}\n'


class XrayDaemon:
    """Listens on UDP. `documents` are the segments in order of arrival."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, port))
        self.address = "{}:{}".format(*self._socket.getsockname())
        self._documents: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What came so far."""
        with self._lock:
            return list(self._documents)

    def stop(self) -> None:
        """Stop listening."""
        host, port = self._socket.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", (host, port))
        self._thread.join(5)
        self._socket.close()

    def _listen(self) -> None:
        while True:
            datagram = self._socket.recv(65_536)
            if datagram == b"stop":
                return
            assert datagram.startswith(HEADER), datagram[:80]
            with self._lock:
                self._documents.append(json.loads(datagram.removeprefix(HEADER)))


@contextmanager
def running_daemon(host: str = "127.0.0.1", port: int = 0) -> Iterator[XrayDaemon]:
    """Listen for the length of the block."""
    daemon = XrayDaemon(host, port)
    try:
        yield daemon
    finally:
        daemon.stop()


def steps(document: dict[str, Any]) -> list[str]:
    """Return the names of all steps of a segment, outermost first."""
    found = []
    for step in document.get("subsegments", []):
        found += [step["name"], *steps(step)]
    return found
