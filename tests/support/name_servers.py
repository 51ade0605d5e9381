"""Name servers for synchronous tests: the local stack's own, each in a thread on loopback."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dns.message
import dns.rdatatype

from localstack.dns_server import Responder, ZoneFile

Respond = Callable[[bytes, str], bytes | None]


@dataclass
class RunningServer:
    """A server and the questions that reached it, as (name, type, proto)."""

    port: int
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def zone_server(records: list[list[Any]], **more: Any) -> Iterator[RunningServer]:
    """Serve `records` as the local stack does: authoritative for all, other names do not exist."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "zone.json"
        path.write_text(json.dumps({"records": records, **more}), encoding="utf-8")
        with responding(Responder(ZoneFile(path), None).respond) as server:
            yield server


@contextmanager
def responding(respond: Respond) -> Iterator[RunningServer]:
    """Serve what `respond` makes of the octets of a query, over UDP and TCP."""
    udp, tcp = _sockets()
    server = RunningServer(udp.getsockname()[1])

    def answer(wire: bytes, proto: str) -> bytes | None:
        question = dns.message.from_wire(wire).question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        server.asked.append((question.name.to_text(omit_final_dot=True), kind, proto))
        return respond(wire, proto)

    threads = [
        threading.Thread(target=_datagrams, args=(udp, answer)),
        threading.Thread(target=_streams, args=(tcp, answer)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        for each in (udp, tcp):
            each.shutdown(socket.SHUT_RDWR) if each is tcp else each.sendto(
                b"", ("127.0.0.1", server.port)
            )
        for thread in threads:
            thread.join()
        udp.close()
        tcp.close()


def _sockets() -> tuple[socket.socket, socket.socket]:
    """Return two sockets on one port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp


def _datagrams(udp: socket.socket, answer: Respond) -> None:
    while True:
        wire, peer = udp.recvfrom(65_535)
        if not wire:
            return
        response = answer(wire, "udp")
        if response is not None:
            udp.sendto(response, peer)


def _streams(tcp: socket.socket, answer: Respond) -> None:
    while True:
        try:
            peer, _ = tcp.accept()
        except OSError:
            return
        with peer, peer.makefile("rb") as stream:
            length = int.from_bytes(stream.read(2))
            response = answer(stream.read(length), "tcp") if length else None
            if response is not None:
                peer.sendall(len(response).to_bytes(2) + response)
