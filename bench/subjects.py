"""Who takes mail in: our submission process over two ledgers, and Postfix's SMTP server."""

import smtplib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cloud import Cloud, running
from bench.line import OURS, Figure, Ledger
from bench.load import SmtpLoad, under_load
from bench.machine import processor
from bench.memory_platform import DOMAIN, SMTP_PASSWORD
from bench.processes import Usage, usage
from bench.queue_peer import DURABLE, Holding
from bench.stand import ROOT
from bench.submission_worker import port_of
from localstack import processes
from localstack.config import RECIPIENT_DOMAIN
from localstack.tenant import SMTP_USER

AUTHOR = f"bench@{DOMAIN}"
RECIPIENT = f"accept@{RECIPIENT_DOMAIN}"
_PEER_AT_MOST, _EMULATOR_AT_MOST = 1_000, 300  # messages: so that a run takes minutes


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the clients do. `kept`: one connection for many messages, otherwise for each its own."""

    octets: int
    connections: int
    kept: bool
    tls: bool

    @property
    def how(self) -> str:
        """The scenario in words."""
        connection = "kept connections" if self.kept else "a new connection for each message"
        return f"{connection}, {'STARTTLS' if self.tls else 'no TLS'}, no pipelining"


@dataclass(frozen=True, slots=True)
class Subject:
    """A server under load. `look` says what its processes have used, `beside` what the emulator
    has; without a `password` it knows the client by its address. `at_most` bounds the messages.
    """

    who: str
    ledger: Ledger
    durable: str
    processes: str
    port: int
    look: Callable[[], Usage]
    password: str = ""
    beside: Callable[[], Usage] | None = None
    at_most: int = 1_000_000

    def load(self, scenario: Scenario, messages: int, *, by_address: bool) -> SmtpLoad:
        """Return the load of a scenario for this server."""
        known = by_address or not self.password
        return SmtpLoad(
            port=self.port,
            messages=min(messages, self.at_most),
            octets=scenario.octets,
            connections=scenario.connections,
            kept=scenario.kept,
            tls=scenario.tls,
            author=AUTHOR,
            recipient=RECIPIENT,
            user="" if known else SMTP_USER,
            password="" if known else self.password,
        )

    def figure(self, scenario: Scenario, messages: int, *, by_address: bool) -> Figure:
        """Measure the scenario. Raises LoadError when a message is refused."""
        load = self.load(scenario, messages, by_address=by_address)
        looks = [self.look, *([self.beside] if self.beside else [])]
        found = under_load(load, *looks)
        per_1000 = [spent / load.messages * 1_000_000 for spent in found.cpu]
        return Figure(
            who=self.who,
            ledger=self.ledger,
            durable=self.durable,
            connections=load.connections,
            message_octets=load.octets,
            processes=self.processes,
            cpu=processor(),
            messages=load.messages,
            per_second=round(load.messages / found.seconds, 1),
            cpu_ms_per_1000=round(per_1000[0], 1),
            emulator_cpu_ms_per_1000=round(per_1000[1], 1) if self.beside else None,
            note="AUTH PLAIN" if load.user else "client known by its address",
        )


@contextmanager
def in_memory(folder: Path) -> Iterator[Subject]:
    """Run our submission process with its ledger in memory and the certificate in `folder`."""
    ready = folder / "memory.json"
    command = (sys.executable, "-m", "bench.submission_worker", str(folder))
    program = processes.Program("submission", command, {"PYTHONPATH": str(ROOT)}, ready)
    with running(program, folder / "submission.log") as pid:
        yield Subject(
            who=OURS,
            ledger=Ledger.MEMORY,
            durable="nothing is durable",
            processes="1 submission process",
            port=port_of(ready),
            look=lambda: usage((pid,)),
            password=SMTP_PASSWORD,
        )


@contextmanager
def on_emulator(cloud: Cloud) -> Iterator[Subject]:
    """Run our submission process as deployed, with its AWS adapters."""
    with cloud.host_process("submission") as pid:
        yield Subject(
            who=OURS,
            ledger=Ledger.EMULATOR,
            durable="in the emulator's memory",
            processes="1 submission process, emulator not counted",
            port=cloud.config.ports.submission,
            look=lambda: usage((pid,)),
            password=cloud.secrets["smtp_password"],
            beside=cloud.usage,
            at_most=_EMULATOR_AT_MOST,
        )


def peer(running_peer: Holding) -> Subject:
    """Return Postfix, or Postfix with OpenDKIM, as a subject."""
    signs = running_peer.milter is not None
    return Subject(
        who="postfix+opendkim" if signs else "postfix",
        ledger=Ledger.DISK,
        durable=DURABLE,
        processes=f"all of Postfix{' and OpenDKIM' if signs else ''}",
        port=running_peer.postfix.port,
        look=running_peer.usage,
        at_most=_PEER_AT_MOST,
    )


def takes_by_address(port: int) -> bool:
    """Say whether a server takes mail from the loopback address without a login or TLS."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as session:
        session.ehlo()
        return session.mail(AUTHOR)[0] == 250
