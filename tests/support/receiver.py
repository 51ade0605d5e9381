"""A receiver of a test's own beside the simulator: an address, a name in DNS, and its say."""

import json
import secrets
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.api_tenant import publish
from tests.support.customer import Customer

_OCTETS = count(90)  # of 127.0.0.x: above the simulator's hosts, within what the sender may reach


@dataclass(frozen=True)
class Taken:
    """A message that came."""

    peer: str
    helo: str
    to: str


@dataclass
class Receiver:
    """One site. `refuse` is asked at RCPT with the recipient and the client's address: a reply,
    or "" for yes. `most` is how many connections it bears; `pause` runs before each final reply.
    """

    address: str
    port: int
    domain: str
    refuse: Callable[[str, str], str] = lambda _to, _peer: ""
    pause: Callable[[], object] = lambda: None
    most: int = 1_000
    taken: list[Taken] = field(default_factory=list)
    began: list[Taken] = field(default_factory=list)
    refused: list[Taken] = field(default_factory=list)
    turned_away: int = 0
    open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def site(self) -> str:
        """The key of its site."""
        return f"mx:mx.{self.domain}:{self.port}"

    def box(self, name: str = "") -> str:
        """A mailbox here."""
        return f"{name or secrets.token_hex(4)}@{self.domain}"

    @property
    def recipients(self) -> list[str]:
        """Who has got mail, in order."""
        return [each.to for each in self.taken]

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        """Listen while the block runs; before it connections are refused."""
        with _Server((self.address, self.port), _handler(self)) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                server.cut()
                thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self.clients: set[socket.socket] = set()
        super().__init__(*arguments)

    def cut(self) -> None:
        for each in list(self.clients):
            each.close()

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no trouble of the test's."""


def _handler(site: Receiver) -> type[socketserver.StreamRequestHandler]:  # noqa: C901  # one dialogue
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with site.lock:
                site.open += 1
                full = site.open > site.most
                site.turned_away += full
            self.server.clients.add(self.request)  # type: ignore[attr-defined]  # ours
            try:
                if full:
                    self.say("421 4.7.0 too many connections from your address")
                else:
                    self.say(f"220 mx.{site.domain} ESMTP")
                    self.talk()
            except (OSError, ValueError):  # gone, or cut by the test's end
                return
            finally:
                self.server.clients.discard(self.request)  # type: ignore[attr-defined]  # ours
                with site.lock:
                    site.open -= 1

        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def talk(self) -> None:
            helo, peer, wanted = "", self.client_address[0], []
            while line := self.rfile.readline().decode("latin-1").strip():
                verb, _, rest = line.partition(" ")
                match verb.upper():
                    case "EHLO":
                        helo = rest
                        self.say("250-me\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES")
                    case "RCPT":
                        one = Taken(peer, helo, rest.partition("<")[2].partition(">")[0])
                        reply = site.refuse(one.to, peer)
                        (site.refused if reply else wanted).append(one)
                        self.say(reply or "250 2.1.5 yes")
                        if reply.startswith("421"):
                            return
                    case "DATA" if not wanted:
                        self.say("554 5.5.1 no valid recipients")
                    case "DATA":
                        self.say("354 go on")
                        while self.rfile.readline() not in (b".\r\n", b""):
                            pass
                        site.began.extend(wanted)
                        site.pause()
                        site.taken.extend(wanted)
                        self.say("250 2.0.0 taken")
                        wanted = []
                    case "QUIT":
                        self.say("221 2.0.0 bye")
                        return
                    case _:
                        wanted = []
                        self.say("250 2.0.0 ok")

    return Handler


def receiver_of(customer: Customer, name: str, under: str = "engine.test") -> Receiver:
    """Make a receiver that does not run yet, with its domain in the stack's DNS."""
    state = Path(customer.status["state_dir"], "config.json")
    port = json.loads(state.read_text())["ports"]["mx"]
    domain = f"{name}-{secrets.token_hex(3)}.{under}"
    made = Receiver(f"127.0.0.{next(_OCTETS)}", port, domain)
    publish(
        customer,
        [
            {"name": domain, "type": "MX", "value": f"10 mx.{domain}."},
            {"name": f"mx.{domain}", "type": "A", "value": made.address},
        ],
    )
    return made
