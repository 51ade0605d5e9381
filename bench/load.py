"""A load generator in a process of its own, so that its CPU is in nobody's figure.

It prepares (connections, warm-up), prints `ready`, waits for a line on its standard input, sends,
and prints what it did as JSON: `seconds` from the first octet to the last answer.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bench.processes import Usage
from bench.stand import ROOT

SMTP_WARM_UP = 2  # messages on each connection before it counts
HTTP_WARM_UP = 3  # calls on each connection, so that every function worker has started


class LoadError(Exception):
    """The messages were not all taken; the message says what the server answered."""


@dataclass(frozen=True, slots=True)
class SmtpLoad:
    """SMTP to send: `messages` of `octets`, over `connections` at a time, no pipelining.

    `kept` keeps each connection, otherwise each message gets a new one. `user` is empty where the
    server knows the client by its address.
    """

    port: int
    messages: int
    octets: int
    connections: int
    kept: bool
    tls: bool
    author: str
    recipient: str
    user: str = ""
    password: str = ""

    @property
    def sent(self) -> int:
        """How many messages arrive in all."""
        return self.messages + SMTP_WARM_UP * self.connections


@dataclass(frozen=True, slots=True)
class HttpLoad:
    """Calls of `send/raw` to make at `url`, over kept `connections`. `host` is the API's name."""

    url: str
    host: str
    key: str
    messages: int
    octets: int
    connections: int
    author: str
    recipient: str

    @property
    def sent(self) -> int:
        """How many calls are made in all."""
        return self.messages + HTTP_WARM_UP * self.connections


@dataclass(frozen=True, slots=True)
class Measured:
    """What one load cost: CPU seconds of each thing looked at, in the order it was named."""

    seconds: float
    cpu: tuple[float, ...]


def under_load(load: SmtpLoad | HttpLoad, *looks: Callable[[], Usage]) -> Measured:
    """Send `load`; return its seconds and what each of `looks` spent meanwhile.

    Raises LoadError when a message was refused.
    """
    module = "bench.smtp_load" if isinstance(load, SmtpLoad) else "bench.http_load"
    child = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with child:
        try:
            return _measured(child, asdict(load), looks)
        finally:
            child.kill()


def _measured(
    child: "subprocess.Popen[str]",
    load: Mapping[str, Any],
    looks: tuple[Callable[[], Usage], ...],
) -> Measured:
    assert child.stdin
    assert child.stdout
    assert child.stderr
    child.stdin.write(json.dumps(load) + "\n")
    child.stdin.flush()
    if child.stdout.readline() != "ready\n":
        raise LoadError(child.stderr.read().strip()[-2000:])
    before = [look().cpu for look in looks]
    child.stdin.write("go\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    after = [look().cpu for look in looks]
    if not answer:
        raise LoadError(child.stderr.read().strip()[-2000:])
    spent = tuple(end - start for start, end in zip(before, after, strict=True))
    return Measured(float(json.loads(answer)["seconds"]), spent)
