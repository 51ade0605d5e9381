"""One HTTP call to a server that a stranger named: to a checked address, in bounded time.

The name is resolved once, the addresses are checked, and the connection goes to a checked
address: a name that answers differently the second time (rebinding) gains nothing. A redirect is
an answer like any other; it is not followed.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from time import monotonic

from mailroom.domain.destination import is_reachable
from mailroom.domain.webhook_target import Target, UnfitTargetError

TIMEOUT = 10.0  # seconds for the whole call, the name's resolution included
CONNECT_TIMEOUT = 5.0  # seconds, once for the resolution and once for the connection
MAX_READ = 65_536  # octets of the answer that are read
_MAX_ADDRESSES = 2  # of a name, tried one after the other

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answered:
    """What came: the status, the octets that were read, and the header fields."""

    status: int
    octets: bytes
    headers: Message


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of `host` as text. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedHttp:
    """Calls public addresses, and private ones inside `networks` (CIDR)."""

    def __init__(
        self,
        networks: Sequence[str] = (),
        *,
        timeout: float = TIMEOUT,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._networks = networks
        self._timeout = timeout
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()

    def call(
        self,
        method: str,
        target: Target,
        headers: dict[str, str],
        body: bytes | None = None,
        *,
        most: int = MAX_READ,
    ) -> Answered:
        """Call `target` and read at most `most` octets of the answer.

        Raises UnfitTargetError for a name that leads nowhere it may, OSError (ssl.SSLError and
        TimeoutError are some) for trouble on the way, http.client.HTTPException or ValueError for
        what is not HTTP.
        """
        deadline = monotonic() + self._timeout
        addresses = self._checked(target.host, target.port)
        connection = _connection(target)
        peer = self._connected(addresses, target.port, deadline)
        try:
            if target.scheme == "https":
                # No handshake yet: the deadline must be able to cut it short too.
                peer = self._tls.wrap_socket(
                    peer, server_hostname=target.host, do_handshake_on_connect=False
                )
            connection.sock = peer
            with _cut_off(peer, deadline):
                _handshake(connection)
                connection.request(method, target.path, body, {**headers, "Connection": "close"})
                with connection.getresponse() as answer:
                    return Answered(answer.status, answer.read(most), answer.headers)
        finally:
            connection.close()
            peer.close()

    def _checked(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve_in_time(host, port)
        except (OSError, UnicodeError):
            raise UnfitTargetError("the host name does not resolve") from None
        reachable = [a for a in addresses if is_reachable(a, self._networks)]
        if not reachable:
            raise UnfitTargetError("the host is not on the public internet")
        return reachable[:_MAX_ADDRESSES]

    def _resolve_in_time(self, host: str, port: int) -> Sequence[str]:
        """Resolve within the time for a connection: the system's resolver knows no limit."""
        found: Future[Sequence[str]] = Future()

        def resolve() -> None:
            try:
                found.set_result(self._resolve(host, port))
            except Exception as error:  # noqa: BLE001  # it belongs to whoever waits
                found.set_exception(error)

        threading.Thread(target=resolve, daemon=True).start()
        return found.result(min(CONNECT_TIMEOUT, self._timeout))

    def _connected(self, addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
        connected_by = min(deadline, monotonic() + CONNECT_TIMEOUT)
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = max(0.1, (connected_by - monotonic()) / left)
            try:
                return socket.create_connection((address, port), timeout=share)
            except OSError:
                if left == 1:
                    raise
        raise OSError("no address")


def _connection(target: Target) -> http.client.HTTPConnection:
    # Only used for the Host header's default port here; the socket is always ours.
    secure = target.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return kind(target.host, target.port)


def _handshake(connection: http.client.HTTPConnection) -> None:
    if isinstance(connection.sock, ssl.SSLSocket):
        connection.sock.do_handshake()


@contextmanager
def _cut_off(peer: socket.socket, deadline: float) -> Iterator[None]:
    """Shut `peer` at `deadline` and raise TimeoutError, whatever the block made of that.

    A socket's own time-out is no deadline: it starts anew with each octet.
    """
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):  # it may have just closed by itself
            # Not SSLSocket's own method, which drops state the reading thread is using.
            socket.socket.shutdown(peer, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():  # a header cut short passes for a whole one
        raise TimeoutError
