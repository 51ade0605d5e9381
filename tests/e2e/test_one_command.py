"""`./run up` and its companions, as a user meets them."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from localstack.config import Ports
from localstack.ports import free_ports
from localstack.status import curl_line, smtp_line
from tests.support.stack import Stack, running_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)
    return found


def pasted(command: str) -> str:
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def received(stack: Stack, subject: str) -> dict[str, Any]:
    """The newest message with that subject, once it is in the simulator."""

    def look() -> Any:
        found = stack.simulator("/api/messages?limit=200")["messages"]
        return next((m for m in found if m["subject"] == subject), None)

    message: dict[str, Any] = until(look)
    return stack.simulator(f"/api/messages/{message['id']}")


def test_the_status_tells_all_that_is_documented(stack: Stack) -> None:
    status = stack.status
    assert status["phase"] == "ready"
    assert all(process["healthy"] for process in status["processes"].values())
    assert {"emulator", "dns", "simulator", "sender", "submission", "front"} <= set(
        status["processes"]
    )


def test_the_printed_curl_delivers_a_signed_message_with_its_attachment(stack: Stack) -> None:
    answer = json.loads(pasted(curl_line(stack.status)))
    assert answer["status"] == "success"
    message = received(stack, "Hello from Mailroom")
    assert message["dkim"] == "pass"
    assert [part["filename"] for part in message["attachments"]] == ["hello.txt"]
    assert len(message["links"]) == 3
    assert all(link.startswith(stack.status["tracking_url"]) for link in message["links"])


def test_the_printed_smtp_program_delivers_a_message(stack: Stack) -> None:
    pasted(smtp_line(stack.status))
    assert received(stack, "Hello over SMTP")["dkim"] == "pass"


def test_a_second_up_says_what_already_runs(stack: Stack) -> None:
    said = stack.command("up").stdout
    assert "Already running (ready)" in said
    assert stack.status["api_url"] in said


def test_the_log_of_a_process_and_of_a_function_can_be_read(stack: Stack) -> None:
    assert {"sender", "dns"} <= set(stack.command("logs").stdout.split())
    assert "simulator" in stack.command("logs", "simulator").stdout
    assert "http" in until(lambda: stack.command("logs", "api").stdout)
    refused = stack.command("logs", "nobody", check=False)
    assert refused.returncode == 2
    assert "sender" in refused.stderr


def test_nothing_of_the_users_shell_reaches_the_functions(stack: Stack) -> None:
    pid = stack.status["processes"]["emulator"]["pid"]
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0].decode() for entry in variables if entry}
    assert not {"USER", "PIP_CERT", "SSH_AUTH_SOCK", "OLDPWD"} & names


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack to be mistreated."""
    with running_stack(tmp_path_factory.mktemp("own")) as stack:
        yield stack


def supervisor(stack: Stack) -> int:
    pid: int = json.loads((stack.state / "stack.json").read_text())["pid"]
    return pid


def test_a_killed_process_comes_back_and_the_emulators_end_is_the_end(own: Stack) -> None:
    sender = own.status["processes"]["sender"]["pid"]
    os.kill(sender, signal.SIGKILL)
    until(lambda: own.status["processes"]["sender"]["restarts"] == 1)
    until(lambda: own.status["processes"]["sender"]["healthy"])

    os.kill(supervisor(own), signal.SIGKILL)
    leftovers = {name: p["pid"] for name, p in read(own)["status"]["processes"].items()}
    assert own.command("status", check=False).returncode == 3
    own.command("down")
    for pid in leftovers.values():
        until(partial(is_dead, pid))
    assert not list((own.state / "tmp").iterdir())

    own.command("up", "--detach", "--ports", "auto")
    front, emulator = (own.status["processes"][name]["pid"] for name in ("front", "emulator"))
    api_url = own.status["api_url"]
    assert http_status(api_url) < 500
    os.kill(emulator, signal.SIGKILL)
    until(lambda: own.command("status", check=False).returncode == 3)
    assert http_status(api_url) in (0, 502)
    until(partial(is_dead, front))
    assert "the emulator ended (SIGKILL)" in own.log("up")
    assert not list((own.state / "tmp").iterdir())


def test_a_taken_port_is_one_clear_line_and_leaves_nothing_running(tmp_path: Path) -> None:
    ports = Ports()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", ports.emulator))
            taken.listen(1)
        except OSError:
            pass  # something else has it already, which is as good
        failed = Stack(tmp_path).command("up", "--detach", check=False)
    assert failed.returncode == 1
    assert re.search(f"Port {ports.emulator} on 127.0.0.1 is needed by the emulator", failed.stdout)
    assert Stack(tmp_path).command("status", check=False).returncode == 3
    assert free_ports()


def read(stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((stack.state / "stack.json").read_text())
    return found


def is_dead(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def http_status(url: str) -> int:
    """The status of an answer, 0 when there is none."""
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-m", "20", "-w", "%{http_code}", url],
        capture_output=True,
        text=True,
    )
    return int(done.stdout)
