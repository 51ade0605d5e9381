"""A stack of the benchmark's own: started for it, on free ports, gone after it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import Usage, usage_by_name

ROOT = Path(__file__).resolve().parent.parent


class StandError(Exception):
    """The stack did not start or did not finish its work; the message says what."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A running stack. `proxy_url` counts its AWS calls, if it was started with a proxy."""

    status: Mapping[str, Any]
    proxy_url: str = ""

    def usage(self) -> dict[str, Usage]:
        """Return what each of its processes and functions has used so far."""
        roots = {name: child["pid"] for name, child in self.status["processes"].items()}
        return usage_by_name(roots)

    def arrived(self) -> tuple[int, int]:
        """Return how many messages and webhooks the simulator holds."""
        health = get_json(self.status["simulator_url"] + "/health")
        return health["messages"], health["webhooks"]

    def counts(self) -> dict[str, Any]:
        """Return the proxy's counts."""
        found: dict[str, Any] = get_json(self.proxy_url + "/__counts")
        return found

    def reset(self) -> None:
        """Let the proxy count from nothing."""
        reset_counts(self.proxy_url)


@contextmanager
def running_stand(*, counting: bool) -> Iterator[Stand]:
    """Start a stack, with a counting proxy before its AWS endpoint if `counting`; stop it.

    The simulator verifies no DKIM signature on receipt: that would be measured too.
    Raises StandError.
    """
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = {**os.environ, "MAILROOM_SIMULATOR_VERIFY": "view", "PYTHONPATH": str(ROOT)}
        proxy_url = ""
        if counting:
            proxy_url = f"http://127.0.0.1:{stack.enter_context(_proxy(state))}"
            environment["MAILROOM_ENDPOINT_PROXY"] = proxy_url
        stack.callback(_stack, "down", state, environment)
        started = _stack("up", state, environment, "--detach", "--ports", "auto")
        if started.returncode != 0:
            raise StandError(f"the stack did not start:\n{started.stdout}\n{started.stderr}")
        status = json.loads(_stack("status", state, environment, "--json").stdout)
        yield Stand(status, proxy_url)


@contextmanager
def printing_port(module: str, *arguments: str) -> Iterator[int]:
    """Run a module that prints its port first; end it afterwards."""
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout
    try:
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


def wait_until(condition: Callable[[], bool], *, within: float, what: str) -> None:
    """Wait for `condition`, looking every 50 ms. Raises StandError after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise StandError(f"not within {within:g} s: {what}")
        time.sleep(0.05)


def reset_counts(proxy_url: str) -> None:
    """Let a counting proxy count from nothing."""
    request = urllib.request.Request(proxy_url + "/__reset", method="POST")
    with urllib.request.urlopen(request, timeout=10):
        pass


def get_json(url: str) -> Any:
    """Return the JSON at `url`."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def _proxy(state: Path) -> contextlib.AbstractContextManager[int]:
    return printing_port("bench.counting_proxy", str(state))


def _stack(
    command: str, state: Path, environment: Mapping[str, str], *more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "localstack", command, "--state", str(state), *more],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
