"""Descriptors and memory of a process: set at start, or a refusal in one line."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from egress.limits import ProcessLimits, read_process_limits
from mailroom.settings import SettingsError
from tests.egress.test_submission_process import AWS, NEEDED, RESOURCES

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
import resource, sys
from egress.limits import apply_process_limits, check_descriptors, read_process_limits
import os
apply_process_limits(read_process_limits(os.environ))
print(*resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_DATA)[0])
try:
    held = bytearray(400 << 20)
    print("held")
except MemoryError:
    print("refused")
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_process_gets_the_limits_it_was_told() -> None:
    done = run("-c", SHOW, MAILROOM_MAX_FILES="333", MAILROOM_MAX_MEMORY_MB="300")
    numbers, memory = done.stdout.splitlines()
    soft, _, data = numbers.split()
    assert (soft, data, memory) == ("333", str(300 << 20), "refused"), done.stderr


def test_without_being_told_it_gets_all_the_descriptors_there_are() -> None:
    done = run("-c", SHOW)
    numbers, memory = done.stdout.splitlines()
    soft, hard, data = numbers.split()
    assert (soft, data, memory) == (hard, str(resource.RLIM_INFINITY), "held"), done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILROOM_MAX_FILES", "many"),
        ("MAILROOM_MAX_FILES", "0"),
        ("MAILROOM_MAX_FILES", "9" * 30),
        ("MAILROOM_MAX_MEMORY_MB", "-1"),
        ("MAILROOM_MAX_MEMORY_MB", "1.5"),
    ],
)
def test_a_bad_limit_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_process_limits({name: value})
    assert read_process_limits({}) == ProcessLimits()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"MAILROOM_MAX_FILES": "300"}, "MAILROOM_SUBMISSION_CONNECTIONS: 1000 connections need"),
        ({"MAILROOM_MAX_FILES": "900000000"}, "MAILROOM_MAX_FILES is more than the system allows"),
        ({"MAILROOM_MAX_MEMORY_MB": "160"}, "MAILROOM_MAX_MEMORY_MB: 160 is too little"),
        ({"MAILROOM_SUBMISSION_CONNECTIONS": "100000", "MAILROOM_MAX_FILES": "4000"}, "need"),
    ],
)
def test_a_submission_server_that_could_not_hold_its_clients_does_not_start(
    tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    command = ("-m", "egress", "submission")
    done = run(*command, HOME=str(tmp_path), **NEEDED, **RESOURCES, **AWS, **variables)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
