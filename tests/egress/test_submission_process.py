"""`python -m egress submission`: what it needs, what it says when that is missing, how it ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from egress.__main__ import main
from egress.submission.wiring import read_host
from localstack.certificates import issue
from mailroom.settings import SettingsError
from tests.egress.submission_stand import Client

ROOT = Path(__file__).resolve().parents[2]
NEEDED = {
    "MAILROOM_SMTP_HOSTNAME": "smtp.test",
    "MAILROOM_TLS_CERT": "certificate.pem",
    "MAILROOM_TLS_KEY": "key.pem",
}
RESOURCES = {
    f"MAILROOM_{name}": "some"
    for name in (
        "TABLE_MAIL", "TABLE_DUE", "TABLE_DIRECTORY", "TABLE_COUNTERS", "TABLE_NOTIFICATIONS",
        "BUCKET_BODIES", "QUEUE_LANE",
    )
}  # fmt: skip
AWS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def test_the_usual_ports_are_used_unless_told_otherwise() -> None:
    host = read_host(NEEDED)
    assert (host.addresses, host.ports) == (("127.0.0.1",), (587, 2525))
    told = {"MAILROOM_LISTEN_HOST": "127.0.0.1, ::1", "MAILROOM_SUBMISSION_PORTS": "25,0"}
    host = read_host(NEEDED | told)
    assert (host.addresses, host.ports) == (("127.0.0.1", "::1"), (25, 0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILROOM_SMTP_HOSTNAME", ""),
        ("MAILROOM_TLS_CERT", ""),
        ("MAILROOM_TLS_KEY", ""),
        ("MAILROOM_SUBMISSION_PORTS", "smtp"),
        ("MAILROOM_SUBMISSION_PORTS", "70000"),
        ("MAILROOM_GRACE_SECONDS", "-1"),
        ("MAILROOM_SUBMISSION_THREADS", "many"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_host(NEEDED | {name: value})


def test_an_unknown_process_gets_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == main([]) == 2
    assert "sender|submission" in capsys.readouterr().err


def started(folder: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**NEEDED, **RESOURCES, **AWS, **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "egress", "submission"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "variables",
    [{"MAILROOM_TLS_CERT": "/nowhere/at.all"}, {"MAILROOM_SMTP_HOSTNAME": ""}],
)
def test_without_what_it_needs_it_says_so_in_one_line(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    _, complaint = started(tmp_path, **variables).communicate(timeout=60)
    assert complaint.count("\n") == 1
    assert next(iter(variables)) in complaint
    assert "Traceback" not in complaint


async def test_it_listens_says_where_and_stops_when_asked(tmp_path: Path) -> None:
    certificate, key = issue(tmp_path, "smtp.test", ["smtp.test"])
    ready = tmp_path / "ready.json"
    process = started(
        tmp_path,
        MAILROOM_TLS_CERT=str(certificate),
        MAILROOM_TLS_KEY=str(key),
        MAILROOM_READY_FILE=str(ready),
        MAILROOM_SUBMISSION_PORTS="0,0",
    )
    try:
        async with asyncio.timeout(60):
            while not ready.exists() and process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        told = json.loads(ready.read_text())
        assert told["pid"] == process.pid
        assert len(told["ports"]) == 2
        clients = [await Client.connect(port) for port in told["ports"]]
        for client in clients:
            assert (await client.reply()).startswith("220 smtp.test ESMTP ")
            await client.say("EHLO app.test")
            await client.say("STARTTLS")
            await client.handshake()
            assert "AUTH PLAIN" in await client.say("EHLO app.test")
        process.send_signal(signal.SIGTERM)
        for client in clients:
            assert (await client.reply()).startswith("421 4.3.2 ")
            client.hang_up()
        output, complaint = await asyncio.to_thread(process.communicate, timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, complaint) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["event"] for line in lines] == ["session", "session", "stopped"]
