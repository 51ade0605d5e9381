"""A name that changes its mind: real DNS queries, real connections, and an address that is never
connected to.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dns.message
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from mailroom.adapters.http_endpoint import HttpEndpoint

GOOD, EVIL = "127.0.0.2", "127.0.0.1"
PUBLIC = (f"{GOOD}/32",)  # stands for the internet: the rest of loopback is as private as ever
REFUSED = "the host is not on the public internet"

Script = Callable[[int, str], Sequence[str]]


class NameServer:
    """Answers A and AAAA queries over UDP as `script(n, type)` says; n counts from 0 per type."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.asked = {"A": 0, "AAAA": 0}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            wire, peer = self._socket.recvfrom(4096)
            if wire == b"stop":
                return
            query = dns.message.from_wire(wire)
            (question,) = query.question
            type_ = dns.rdatatype.to_text(question.rdtype)
            answer = dns.message.make_response(query)
            addresses = self._script(self.asked[type_], type_)
            self.asked[type_] += 1
            if addresses:
                found = dns.rrset.from_text(question.name, 0, "IN", type_, *addresses)
                answer.answer.append(found)
            self._socket.sendto(answer.to_wire(), peer)

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def resolve(self, host: str, _port: int) -> Sequence[str]:
        """What the system's resolver does, with this server as its only one."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.cache = ["127.0.0.1"], self.port, None
        found = []
        for type_ in ("A", "AAAA"):
            answer = resolver.resolve(host, type_, raise_on_no_answer=False, lifetime=5)
            found += [str(record) for record in answer]
        return found


@contextmanager
def name_server(script: Script) -> Iterator[NameServer]:
    server = NameServer(script)
    try:
        yield server
    finally:
        server.stop()


class Listener:
    """Counts connections to one address and answers each with 200."""

    def __init__(self, address: str, port: int = 0) -> None:
        self._socket = socket.create_server((address, port))
        self.port = self._socket.getsockname()[1]
        self._address = address
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._socket.accept()
            with peer:
                octets = peer.recv(65_536)
                if octets == b"stop":
                    return
                self.connections += 1
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                while peer.recv(65_536):
                    pass

    def stop(self) -> None:
        with socket.create_connection((self._address, self.port)) as last:
            last.sendall(b"stop")
        self._thread.join()
        self._socket.close()


def _at_one_port(tries: int = 50) -> tuple[Listener, Listener]:
    """A port that is free at one address may be taken at the other: then another one is drawn."""
    evil = Listener(EVIL)
    try:
        return Listener(GOOD, evil.port), evil
    except OSError:
        evil.stop()
        if not tries:
            raise
    return _at_one_port(tries - 1)


@pytest.fixture
def hosts() -> Iterator[tuple[Listener, Listener]]:
    """The tenant's server and one that nobody may reach, at the same port."""
    good, evil = _at_one_port()
    yield good, evil
    good.stop()
    evil.stop()


def test_the_second_answer_of_a_rebinding_name_is_never_connected_to(
    hosts: tuple[Listener, Listener],
) -> None:
    good, evil = hosts
    with name_server(lambda n, type_: ([GOOD, EVIL][n % 2],) if type_ == "A" else ()) as dns_:
        endpoint = HttpEndpoint(PUBLIC, resolve=dns_.resolve)
        url = f"http://rebind.example:{good.port}/hook"
        answers = [endpoint.post(url, b"{}", {}) for _ in range(20)]
        assert dns_.asked["A"] == 20  # once a call: there is no second answer to fall for
    assert [answer.status for answer in answers] == [200, 0] * 10
    assert {answer.problem for answer in answers[1::2]} == {REFUSED}
    assert (good.connections, evil.connections) == (10, 0)


def test_of_public_and_private_in_one_answer_only_the_public_is_connected_to(
    hosts: tuple[Listener, Listener],
) -> None:
    good, evil = hosts
    with name_server(lambda _, type_: (EVIL, GOOD, "10.0.0.1") if type_ == "A" else ()) as dns_:
        endpoint = HttpEndpoint(PUBLIC, resolve=dns_.resolve)
        url = f"http://both.example:{good.port}/hook"
        assert all(endpoint.post(url, b"{}", {}).ok for _ in range(5))
    assert (good.connections, evil.connections) == (5, 0)


@pytest.mark.parametrize(
    "address",
    ["::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::", "fd00::1"],
)
def test_a_private_ipv6_answer_is_not_connected_to(
    hosts: tuple[Listener, Listener], address: str
) -> None:
    good, evil = hosts
    with name_server(lambda _, type_: (address,) if type_ == "AAAA" else ()) as dns_:
        endpoint = HttpEndpoint(PUBLIC, resolve=dns_.resolve)
        answer = endpoint.post(f"http://six.example:{good.port}/", b"{}", {})
    assert answer.problem == REFUSED
    assert evil.connections == 0


def test_a_name_without_addresses_is_a_problem() -> None:
    with name_server(lambda *_: ()) as dns_:
        endpoint = HttpEndpoint(PUBLIC, resolve=dns_.resolve)
        assert endpoint.post("http://none.example/", b"{}", {}).problem == REFUSED
