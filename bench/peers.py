"""Peers on the same machine in the same run. Without them there is no ratio, and that is said."""

import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import opendkim, postfix
from bench.processes import Usage, usage
from bench.sample import message

SESSIONS = 20  # smtp-source's, a new connection for each message
DESTINATION_CONCURRENCY = 20  # as many as a sender opens to one site
DOMAIN, SELECTOR = "demo.mailroom.test", "peer"
_DRAIN_WITHIN = 600.0
_PORTS = range(20_000, 32_000)


class PeerError(Exception):
    """A peer did not do its part; the message says what."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A running relay that signs: Postfix with OpenDKIM as its milter."""

    postfix: postfix.Postfix
    milter: int

    def usage(self) -> Usage:
        """Return what all its processes have used so far."""
        return usage((self.postfix.master, self.milter))


def why_not() -> str:
    """Say why the peer cannot be measured here; empty if it can."""
    source = "" if shutil.which("smtp-source") else "smtp-source is not installed (package postfix)"
    return postfix.why_not() or opendkim.why_not() or source


@contextmanager
def signing_relay(folder: Path, next_port: int, private_pem: bytes) -> Iterator[Relay]:
    """Run Postfix with OpenDKIM, both private, relaying everything to 127.0.0.1:`next_port`.

    Raises PostfixError, OpenDkimError.
    """
    (port,) = free_ports(1)
    with opendkim.signing_milter(
        folder / "opendkim", domain=DOMAIN, selector=SELECTOR, private_pem=private_pem
    ) as milter:
        settings = {
            "relayhost": f"[127.0.0.1]:{next_port}",
            "smtpd_milters": milter.address,
            "default_destination_concurrency_limit": str(DESTINATION_CONCURRENCY),
        }
        with postfix.running_postfix(folder / "postfix", port, settings) as running:
            yield Relay(running, milter.pid)


def postfix_relay(port: int, count: int) -> dict[str, Any]:
    """Relay and sign `count` messages with Postfix and OpenDKIM to the sink on `port`.

    It receives, queues on disk with fsync, signs and delivers; it rewrites nothing.
    Returns `{"skipped": reason}` where it cannot run.
    """
    reason = why_not()
    if reason:
        return {"skipped": reason}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with signing_relay(folder, port, new_key()) as relay:
            return _measure(relay, folder, count)


def _measure(relay: Relay, folder: Path, count: int) -> dict[str, Any]:
    sample = folder / "message"
    raw = message()
    sample.write_bytes(raw.replace(b"\r\n", b"\n"))  # smtp-source puts the CR back
    _feed(relay, sample, SESSIONS)
    before, started = relay.usage(), time.monotonic()
    _feed(relay, sample, count)
    seconds, after = time.monotonic() - started, relay.usage()
    sent = relay.postfix.log.count("status=sent")
    if sent != count + SESSIONS:
        raise PeerError(f"postfix sent {sent} of {count + SESSIONS} messages")
    return {
        "messages_per_second": round(count / seconds, 1),
        "cpu_ms_per_message": round((after.cpu - before.cpu) / count * 1000, 2),
        "connections": f"{SESSIONS} in, new for each message; {DESTINATION_CONCURRENCY} out",
        "message_octets": len(raw),
        "messages": count,
        "processes": "all of Postfix and OpenDKIM, smtp-source and sink not counted",
        "peak_rss_mb": round(after.peak_mb, 1),
        "ledger": "Postfix's queue on disk, fsync before 250",
        "signing": "OpenDKIM, RSA-2048, relaxed/relaxed",
        "rewriting": None,
        "tls": False,
    }


def _feed(relay: Relay, sample: Path, count: int) -> None:
    """Send `count` messages and wait until the queue is empty again."""
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(count), "-F", str(sample)]
    command += ["-f", f"bench@{DOMAIN}", "-t", "accept@sink.test"]
    command.append(f"inet:127.0.0.1:{relay.postfix.port}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PeerError(f"smtp-source: {done.stderr.strip()}\n{relay.postfix.log[-1000:]}")
    deadline = time.monotonic() + _DRAIN_WITHIN
    while relay.postfix.queued:
        if time.monotonic() > deadline:
            raise PeerError(f"{relay.postfix.queued} messages still wait in Postfix's queue")
        time.sleep(0.01)


def new_key() -> bytes:
    """Return a new RSA-2048 key as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that are free now.

    They lie below the range from which the system takes the ports of outgoing connections, so
    that no neighbour's connection takes one before it is listened on.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            if not _is_taken(probe, port):
                found.append(port)
        if len(found) == count:
            return found
    raise PeerError("there is no free port")


def _is_taken(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return True
    return False
