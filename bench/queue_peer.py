"""Postfix in two halves, to compare with our two processes: taking mail in, and sending a queue.

What it takes in goes to its hold queue (`check_client_access static:HOLD`), so that its queue
manager has no part in the intake. Released and flushed, the same mail is delivered while nothing
comes in.
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import opendkim, postfix
from bench.load import Measured, SmtpLoad, under_load
from bench.peers import DOMAIN, SELECTOR, PeerError, free_ports, new_key
from bench.processes import Usage, usage

DURABLE = "on disk with fsync"
_WITHIN = 600.0
_SENT = b"status=sent"


@dataclass(frozen=True, slots=True)
class Holding:
    """A running Postfix that holds what it takes in; `milter` is OpenDKIM's process, if any."""

    postfix: postfix.Postfix
    milter: int | None = None

    def usage(self) -> Usage:
        """Return what all its processes have used so far."""
        return usage(pid for pid in (self.postfix.master, self.milter) if pid is not None)

    def deliver_all(self) -> Measured:
        """Release and deliver everything it holds; return what the delivery took.

        Releasing (`postsuper -H`) is not in the figure. Raises PeerError.
        """
        waiting, config = self.postfix.queued, str(self.postfix.folder / "config")
        _run("postsuper", "-c", config, "-H", "ALL")
        log = self.postfix.folder / "log"
        with log.open("rb") as stream:
            stream.seek(0, 2)
            before, began = self.usage().cpu, time.monotonic()
            _run("postqueue", "-c", config, "-f")
            sent, deadline = 0, began + _WITHIN
            while sent < waiting:
                if time.monotonic() > deadline:
                    raise PeerError(f"postfix sent {sent} of {waiting} waiting messages")
                time.sleep(0.02)
                sent += stream.read().count(_SENT)
            return Measured(time.monotonic() - began, (self.usage().cpu - before,))


@contextmanager
def holding(
    folder: Path,
    *,
    next_port: int = 25,
    connections: int = 50,
    certificate: tuple[Path, Path] | None = None,
    signing: bool = False,
) -> Iterator[Holding]:
    """Run Postfix in `folder`, with OpenDKIM as its milter if `signing`.

    It offers STARTTLS with `certificate` (PEM files: certificate, key), and delivers over at most
    `connections` to 127.0.0.1:`next_port`. Raises PostfixError, OpenDkimError.
    """
    (port,) = free_ports(1)
    settings = {
        "smtpd_client_restrictions": "check_client_access static:HOLD",
        "in_flow_delay": "0",  # it would slow the intake down until something is delivered
        "relayhost": f"[127.0.0.1]:{next_port}",
        "default_destination_concurrency_limit": str(connections),
        "initial_destination_concurrency": str(connections),
    }
    if certificate:
        settings |= {
            "smtpd_tls_cert_file": str(certificate[0]),
            "smtpd_tls_key_file": str(certificate[1]),
            "smtpd_tls_security_level": "may",
        }
    with contextlib.ExitStack() as stack:
        milter = None
        if signing:
            signer = opendkim.signing_milter(
                folder / "opendkim", domain=DOMAIN, selector=SELECTOR, private_pem=new_key()
            )
            milter = stack.enter_context(signer)
            settings["smtpd_milters"] = milter.address
        running = postfix.running_postfix(folder / "postfix", port, settings)
        yield Holding(stack.enter_context(running), milter.pid if milter else None)


def take_in(peer: Holding, messages: int, octets: int, connections: int = 10) -> Measured:
    """Feed a peer over kept connections, without TLS. Raises LoadError."""
    load = SmtpLoad(
        port=peer.postfix.port,
        messages=messages,
        octets=octets,
        connections=connections,
        kept=True,
        tls=False,
        author=f"bench@{DOMAIN}",
        recipient="accept@sink.test",
    )
    return under_load(load, peer.usage)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerError(f"{command[0]}: {done.stderr.strip()}")
