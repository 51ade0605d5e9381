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
from contextlib import contextmanager, suppress
from time import monotonic
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mailroom.domain.destination import is_reachable
from mailroom.ports import Answer

TIMEOUT = 5.0  # seconds for the whole call after the name is resolved, as in Postal
MAX_ANSWER = 2048  # octets of the answer that are read and kept
_MAX_ADDRESSES = 2  # of a name, tried one after the other
_PATH_SAFE = "!$%&'()*+,/:;=?@[]~|"

Resolve = Callable[[str, int], Sequence[str]]


class _UnfitUrlError(ValueError):
    """The URL cannot be called; the message is for the tenant."""


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
            target = _target(url)
            return self._post(target, body, {**_authorization(target), **headers})
        except _UnfitUrlError as error:
            return Answer(0, problem=str(error))
        except (TimeoutError, ssl.SSLError, OSError) as error:
            return Answer(0, problem=_spoken(error))
        except (http.client.HTTPException, ValueError):
            return Answer(0, problem="the answer was not HTTP")

    def _post(self, target: SplitResult, body: bytes, headers: dict[str, str]) -> Answer:
        host, port = _host(target), _port(target)
        addresses = self._checked(host, port)
        deadline = monotonic() + self._timeout
        connection = _connection(target.scheme, host, port)
        peer = self._connected(addresses, port, deadline)
        try:
            if target.scheme == "https":
                # No handshake yet: the deadline must be able to cut it short too.
                peer = self._tls.wrap_socket(
                    peer, server_hostname=host, do_handshake_on_connect=False
                )
            connection.sock = peer
            with _cut_off(peer, deadline):
                return _exchanged(connection, _path(target), body, headers)
        finally:
            connection.close()
            peer.close()

    def _checked(self, host: str, port: int) -> Sequence[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise _UnfitUrlError("the host name does not resolve") from None
        reachable = [a for a in addresses if is_reachable(a, self._networks)]
        if not reachable:
            raise _UnfitUrlError("the host is not on the public internet")
        return reachable[:_MAX_ADDRESSES]

    def _connected(self, addresses: Sequence[str], port: int, deadline: float) -> socket.socket:
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = max(0.1, (deadline - monotonic()) / left)
            try:
                return socket.create_connection((address, port), timeout=share)
            except OSError:
                if left == 1:
                    raise
        raise OSError("no address")


def _connection(scheme: str, host: str, port: int) -> http.client.HTTPConnection:
    # Only used for the Host header's default port here; the socket is always ours.
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return kind(host, port)


def _exchanged(
    connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> Answer:
    if isinstance(connection.sock, ssl.SSLSocket):
        connection.sock.do_handshake()
    connection.request("POST", path, body, {**headers, "Connection": "close"})
    with connection.getresponse() as answer:
        return Answer(answer.status, answer.read(MAX_ANSWER).decode("utf-8", "replace"))


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


def _target(url: str) -> SplitResult:
    try:
        target = urlsplit(url)
        fit = target.scheme in ("http", "https") and target.hostname and target.port != 0
    except ValueError:
        fit = False
    if not fit or any(c <= " " or c == "\x7f" for c in url):
        raise _UnfitUrlError("the URL is not an http or https URL")
    return target


def _host(target: SplitResult) -> str:
    name = (target.hostname or "").removesuffix(".")
    try:
        return name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise _UnfitUrlError("the host name is malformed") from None


def _port(target: SplitResult) -> int:
    return target.port or (443 if target.scheme == "https" else 80)


def _path(target: SplitResult) -> str:
    query = f"?{target.query}" if target.query else ""
    return quote((target.path or "/") + query, safe=_PATH_SAFE)


def _authorization(target: SplitResult) -> dict[str, str]:
    if target.username is None:
        return {}
    pair = f"{unquote(target.username)}:{unquote(target.password or '')}"
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
