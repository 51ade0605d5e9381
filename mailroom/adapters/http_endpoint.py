"""The Endpoint port on http.client: one POST to a tenant's server, and never anywhere else.

The name is resolved once, the addresses are checked, and the connection goes to a checked
address: a name that answers differently the second time (rebinding) gains nothing.
"""

import base64
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from time import monotonic

from mailroom.domain.destination import is_reachable
from mailroom.domain.webhook_target import Target, UnfitTargetError, parse_target
from mailroom.ports import Answer

TIMEOUT = 10.0  # seconds for the whole call, the name's resolution included
CONNECT_TIMEOUT = 5.0  # seconds, once for the resolution and once for the connection
MAX_READ = 65_536  # octets of the answer that are read
MAX_ANSWER = 4_096  # octets of the answer that are kept
_MAX_ADDRESSES = 2  # of a name, tried one after the other
_MAX_HEADER = 64

Resolve = Callable[[str, int], Sequence[str]]


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of `host` as text. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpEndpoint:
    """POSTs to public addresses, and to private ones inside `networks` (CIDR)."""

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

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """See Endpoint.post. A redirect is an answer like any other; it is not followed."""
        try:
            target = parse_target(url)
            return self._post(target, body, {**_authorization(target), **headers})
        except UnfitTargetError as error:
            return Answer(0, problem=str(error))
        except (TimeoutError, ssl.SSLError, OSError) as error:
            return Answer(0, problem=_spoken(error))
        except (http.client.HTTPException, ValueError):
            return Answer(0, problem="the answer was not HTTP")

    def _post(self, target: Target, body: bytes, headers: dict[str, str]) -> Answer:
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
                return _exchanged(connection, target.path, body, headers)
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


def _exchanged(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> Answer:
    if isinstance(connection.sock, ssl.SSLSocket):
        connection.sock.do_handshake()
    connection.request("POST", path, body, {**headers, "Connection": "close"})
    with connection.getresponse() as answer:
        text = answer.read(MAX_READ)[:MAX_ANSWER].decode("utf-8", "replace")
        retry_after = (answer.headers.get("Retry-After") or "")[:_MAX_HEADER]
        return Answer(answer.status, text, retry_after=retry_after)


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


def _authorization(target: Target) -> dict[str, str]:
    if target.user is None:
        return {}
    pair = f"{target.user}:{target.password}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _spoken(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "the endpoint did not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or 'connection closed'}"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the endpoint closed the connection without an answer"
    return f"the connection failed: {error.strerror or 'lost'}"
