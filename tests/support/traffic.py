"""Clients of both doors that go on while processes are killed, and remember what they were told."""

import smtplib
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.customer import Customer, wait_for

SMTP_CLIENTS, API_CLIENTS = 6, 2
BROKEN = (OSError, smtplib.SMTPException)


@dataclass(frozen=True, slots=True)
class Promise:
    """A 250 or a 200: the id it named, and when the client had it (Unix seconds)."""

    id: int
    at: float


@dataclass(slots=True)
class Door:
    """What waits to be sent by one door. Addresses leave `waiting` when a client takes them."""

    waiting: deque[str] = field(default_factory=deque)
    group: int = 1  # how many recipients one message has


class Traffic:
    """Mail of one customer. An SMTP client that gets no answer sends the same message again.

    `promised` has what was answered; `unanswered` how often an address's content went out
    without an answer: only those may exist without a promise.
    """

    def __init__(self, customer: Customer, run: str) -> None:
        self._customer = customer
        self._run = run
        authority = customer.status["smtp"]["ca_file"]
        self._tls = ssl.create_default_context(cafile=authority)
        self.promised: dict[str, Promise] = {}
        self.unanswered: Counter[str] = Counter()
        self.smtp, self.api = Door(), Door(group=25)
        self._stop = threading.Event()
        self._clients: list[Future[None]] = []

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """The clients work as long as the block runs, and end with it; none may have failed."""
        with ThreadPoolExecutor(max_workers=SMTP_CLIENTS + API_CLIENTS) as pool:
            self._clients = [pool.submit(self._talk_smtp) for _ in range(SMTP_CLIENTS)]
            self._clients += [pool.submit(self._call_api) for _ in range(API_CLIENTS)]
            try:
                yield
            finally:
                self._stop.set()
        for client in self._clients:
            client.result()

    def add(self, door: Door, addresses: Iterable[str]) -> None:
        """Give the clients of a door more to send."""
        self.check()
        door.waiting.extend(addresses)

    def wait_for_promises(self, count: int, *, within: float) -> None:
        """Wait until `count` addresses have been promised."""

        def enough() -> bool:
            self.check()
            return len(self.promised) >= count

        wait_for(enough, within=within, every=0.05, what=f"{count} accepted messages")

    def check(self) -> None:
        """Raise what has ended a client, if something has."""
        for client in self._clients:
            if client.done():
                client.result()

    def _call_api(self) -> None:
        while not self._stop.is_set():
            addresses = list(_taken(self.api))
            if not addresses:
                self._stop.wait(0.05)
                continue
            ids = self._customer.send(addresses, subject=self._run)
            now = time.time()
            self.promised |= {address: Promise(id_, now) for address, id_ in ids.items()}

    def _talk_smtp(self) -> None:
        session: smtplib.SMTP | None = None
        while not self._stop.is_set():
            address = next(_taken(self.smtp), None)
            if address is None:
                self._stop.wait(0.05)
                continue
            while address not in self.promised:
                session = session or wait_for(self._session, every=0.1, what="a session")
                session = self._offer(session, address)
        if session is not None:
            session.close()

    def _session(self) -> smtplib.SMTP | None:
        login = self._customer.status["smtp"]
        try:
            session = smtplib.SMTP(login["host"], login["submission_port"], timeout=60)
        except BROKEN:  # the server is not there at the moment
            return None
        try:
            session.starttls(context=self._tls)
            session.login(login["username"], login["password"])
        except BROKEN:
            session.close()
            return None
        return session

    def _offer(self, session: smtplib.SMTP, address: str) -> smtplib.SMTP | None:
        """Send one message; return the session if it is still good."""
        try:
            assert session.mail(self._customer.sender)[0] == 250
            assert session.rcpt(address)[0] == 250
            assert session.docmd("DATA")[0] == 354
            # From here on the server may have the whole message without our knowing.
            self.unanswered[address] += 1
            session.send(self._customer.message(address, self._run) + b".\r\n")
            code, text = session.getreply()
        except BROKEN:
            session.close()
            return None
        self.unanswered[address] -= 1
        assert code == 250, text
        self.promised[address] = Promise(int(text.rsplit(b" ", 1)[-1]), time.time())
        return session


def _taken(door: Door) -> Iterator[str]:
    for _ in range(door.group):
        try:
            yield door.waiting.popleft()
        except IndexError:
            return
