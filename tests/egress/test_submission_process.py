"""`python -m egress submission`: what it needs, what it says when that is missing, how it ends."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from egress.__main__ import main
from egress.submission.host import read_host
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
        "TABLE_SUPPRESSIONS", "TABLE_REQUESTS", "BUCKET_BODIES", "QUEUE_LANE",
        "QUEUE_BULK",
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
    assert (host.tls_ports, host.cram, host.proxies, host.connections) == ((465,), False, (), 1000)
    told = {"MAILROOM_LISTEN_HOST": "127.0.0.1, ::1", "MAILROOM_SUBMISSION_PORTS": "25,0"}
    host = read_host(NEEDED | told)
    assert (host.addresses, host.ports) == (("127.0.0.1", "::1"), (25, 0))
    assert host.tls_ports == ()  # whoever chooses ports chooses this one, too
    assert read_host(NEEDED | {"MAILROOM_SUBMISSION_TLS_PORTS": "none"}).tls_ports == ()
    proxied = {
        "MAILROOM_SUBMISSION_PROXY": "1",
        "MAILROOM_SUBMISSION_PROXY_NETWORKS": "10.0.0.0/8, 2001:db8::/32",
    }
    assert len(read_host(NEEDED | proxied).proxies) == 2
    assert read_host(NEEDED | proxied | {"MAILROOM_SUBMISSION_PROXY": "0"}).proxies == ()


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
        ("MAILROOM_SUBMISSION_TLS_PORTS", "smtps"),
        ("MAILROOM_SUBMISSION_CONNECTIONS", "-1"),
        ("MAILROOM_SUBMISSION_CRAM", "yes"),
        ("MAILROOM_SUBMISSION_PROXY", "1"),
        ("MAILROOM_SUBMISSION_PROXY_NETWORKS", "10.0.0.1/8"),
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


def told_by(process: subprocess.Popen[str]) -> str:
    """The next event in the log of a process."""
    assert process.stdout is not None
    return str(json.loads(process.stdout.readline())["event"])


async def certificate_of(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context))
    assert (await client.reply()).startswith("220 smtp.test ESMTP ")
    shown: bytes = client.writer.get_extra_info("ssl_object").getpeercert(True)
    client.hang_up()
    return shown


async def test_a_new_certificate_is_loaded_on_sighup_and_an_unusable_one_is_not(
    tmp_path: Path,
) -> None:
    certificate, key = issue(tmp_path, "smtp.test", ["smtp.test"])
    ready = tmp_path / "ready.json"
    process = started(
        tmp_path,
        MAILROOM_TLS_CERT=str(certificate),
        MAILROOM_TLS_KEY=str(key),
        MAILROOM_READY_FILE=str(ready),
        MAILROOM_SUBMISSION_PORTS="0",
        MAILROOM_SUBMISSION_TLS_PORTS="0",
    )
    try:
        async with asyncio.timeout(60):
            while not ready.exists() and process.poll() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        (port,) = json.loads(ready.read_text())["tls_ports"]
        first = await certificate_of(port)
        other = tmp_path / "other"
        other.mkdir()
        for old, new in zip((certificate, key), issue(other, "smtp.test", ["s.test"]), strict=True):
            new.replace(old)
        process.send_signal(signal.SIGHUP)
        events = [await asyncio.to_thread(told_by, process) for _ in range(2)]
        assert sorted(events) == ["certificate loaded", "session"]
        second = await certificate_of(port)
        assert second != first
        certificate.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        events = [await asyncio.to_thread(told_by, process) for _ in range(2)]
        assert sorted(events) == ["certificate kept", "session"]
        assert await certificate_of(port) == second
    finally:
        process.kill()
        process.communicate()


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
            assert "AUTH PLAIN LOGIN" in await client.say("EHLO app.test")
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
