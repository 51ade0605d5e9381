"""TLS in front of a plain port: octets in, octets out, one thread a direction."""

import contextlib
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from typing import Any

_CHUNK = 64 * 1024
_PATIENCE = 60.0  # seconds without an octet


class TlsFront(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1 with a certificate (PEM paths: chain, key)."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, certificate: tuple[Path, Path], upstream: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.upstream = upstream
        self.port: int = self.server_address[1]
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(*certificate)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread, then pass on."""
        request.settimeout(_PATIENCE)
        with self._tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        front = self.server
        assert isinstance(front, TlsFront)
        with socket.create_connection(front.upstream, timeout=_PATIENCE) as upstream:
            back = threading.Thread(target=_pump, args=(upstream, self.request), daemon=True)
            back.start()
            _pump(self.request, upstream)
            back.join(timeout=_PATIENCE)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while octets := source.recv(_CHUNK):
            sink.sendall(octets)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
