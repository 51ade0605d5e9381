"""`python -m hostapi`: what it needs, what it says when that is missing, how it stops."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from egress.submission.host import tls_context
from hostapi.host import http_limits, memory_needed, read_host
from hostapi.limits import MEGABYTE
from localstack.certificates import issue
from localstack.naming import variable
from localstack.resources import load_resources
from mailroom.settings import SettingsError
from tests.egress.test_submission_process import AWS
from tests.hostapi.stand import JSON_CALL, Client, Stand, request, until

ROOT = Path(__file__).resolve().parents[2]
RESOURCES = {variable(each.place): "some" for each in load_resources(ROOT).hosts["hostapi"]}
NEEDED = {"MAILROOM_TLS_CERT": "certificate.pem", "MAILROOM_TLS_KEY": "key.pem"}


def test_the_usual_settings() -> None:
    host = read_host(NEEDED)
    assert (host.addresses, host.ports, host.proxies) == (("127.0.0.1",), (443,), ())
    assert (host.threads, host.large_threads, host.connections) == (8, 2, 1_000)
    assert (host.grace, host.memory, host.folder, host.ready_file) == (30, 0, None, None)
    told = {
        "MAILROOM_LISTEN_HOST": "127.0.0.1, ::1", "MAILROOM_HOSTAPI_PORTS": "8443,0",
        "MAILROOM_HOSTAPI_PROXY_NETWORKS": "10.0.0.0/8, 2001:db8::/32",
    }  # fmt: skip
    host = read_host(NEEDED | told)
    assert (host.addresses, host.ports) == (("127.0.0.1", "::1"), (8443, 0))
    assert len(host.proxies) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILROOM_TLS_CERT", ""),
        ("MAILROOM_TLS_KEY", ""),
        ("MAILROOM_HOSTAPI_PORTS", "https"),
        ("MAILROOM_HOSTAPI_PORTS", "70000"),
        ("MAILROOM_GRACE_SECONDS", "-1"),
        ("MAILROOM_HOSTAPI_THREADS", "0"),
        ("MAILROOM_HOSTAPI_LARGE_THREADS", "many"),
        ("MAILROOM_HOSTAPI_CONNECTIONS", "0"),
        ("MAILROOM_HOSTAPI_SPOOL_MB", "0"),
        ("MAILROOM_HOSTAPI_SPOOL_DIR", "/nowhere/at/all"),
        ("MAILROOM_HOSTAPI_PROXY_NETWORKS", "everybody"),
        ("MAILROOM_MAX_MEMORY_MB", "1.5"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_host(NEEDED | {name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("MAILROOM_HOSTAPI_SPOOL_MB", "38"), ("MAILROOM_MAX_MEMORY_MB", "300")]
)
def test_a_host_too_small_for_the_largest_message_is_found_out_at_start(
    name: str, value: str
) -> None:
    body, message = 38 * MEGABYTE + 1, 25 * MEGABYTE
    http_limits(read_host(NEEDED), body=body, message=message)
    with pytest.raises(SettingsError, match=name):
        http_limits(read_host(NEEDED | {name: value}), body=body, message=message)


def test_the_memory_it_says_it_needs_is_enough() -> None:
    host, message = read_host(NEEDED), 25 * MEGABYTE
    enough = str(memory_needed(host, message) // MEGABYTE)
    host = read_host(NEEDED | {"MAILROOM_MAX_MEMORY_MB": enough})
    assert http_limits(host, body=38 * MEGABYTE, message=message).held_per_client >= 38 * MEGABYTE


def variables(tmp_path: Path, **more: str) -> dict[str, str]:
    certificate, key = issue(tmp_path, "api-large", ["localhost", "127.0.0.1"])
    return {
        **RESOURCES,
        **AWS,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions' / 'api'}",
        "MAILROOM_TLS_CERT": str(certificate),
        "MAILROOM_TLS_KEY": str(key),
        "MAILROOM_HOSTAPI_PORTS": "0",
        "MAILROOM_RETURN_PATH_DOMAIN": "rp.mail.test",
        "MAILROOM_READY_FILE": str(tmp_path / "ready.json"),
        **more,
    }


@contextmanager
def process(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", "hostapi"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


async def ready(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "ready.json"
    await until(path.exists)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


async def test_the_process_serves_and_stops_when_told(tmp_path: Path) -> None:
    with process(variables(tmp_path)) as running:
        said = await ready(tmp_path)
        assert said["pid"] == running.pid
        client = await Client.connect(said["ports"][0])
        assert (await client.ask("GET", "/health")).json == {"status": "ok"}
        running.send_signal(signal.SIGTERM)
        assert await client.is_hung_up_on()
        out, err = await asyncio.to_thread(running.communicate, None, 30)
        client.hang_up()
    assert running.returncode == 0
    (line,) = (json.loads(each) for each in err.splitlines())
    assert (line["event"], line["path"], line["status"]) == ("http", "/health", 200)
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"MAILROOM_TLS_KEY": "/nowhere"}, "MAILROOM_TLS_KEY"),
        ({"MAILROOM_RETURN_PATH_DOMAIN": ""}, "MAILROOM_RETURN_PATH_DOMAIN"),
        ({"MAILROOM_HOSTAPI_CONNECTIONS": "1000", "MAILROOM_MAX_FILES": "500"}, "descriptors"),
    ],
)
def test_a_process_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, more: dict[str, str], words: str
) -> None:
    with process(variables(tmp_path, **more)) as running:
        _, err = running.communicate(timeout=60)
    assert running.returncode == 2
    assert words in err
    assert len(err.splitlines()) == 1


async def test_a_new_certificate_is_used_by_new_connections(tmp_path: Path) -> None:
    async with Stand().serving() as stand:
        before = await stand.client()
        certificate, key = issue(tmp_path, "api-large", ["localhost", "127.0.0.1"])
        stand.server.use_certificate(tls_context(certificate, key))
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        reader, writer = await asyncio.open_connection("127.0.0.1", stand.port, ssl=trusting)
        after = Client(reader, writer)
        for client in (before, after):
            assert (await client.ask("GET", "/health")).status == 200
        after.hang_up()


async def test_what_is_under_way_is_finished_before_the_end() -> None:
    stand = Stand()
    async with stand.serving():
        idle, sending = await stand.client(), await stand.client()
        assert (await idle.ask("GET", "/health")).status == 200
        body = b'{"to": "ann@example.org", "from": "shop@demo.test", "plain_body": "x"}'
        call = request("POST", "/api/v1/send/message", body, JSON_CALL)
        await sending.send(call[:-10])
        await until(lambda: len(stand.server.counter.busy) == 1)
        stopping = asyncio.create_task(stand.server.stop(30.0))
        assert await idle.is_hung_up_on()
        await sending.send(call[-10:])
        answer = await sending.answer()
        assert answer.json["status"] == "success"
        assert answer.headers["connection"] == "close"
        assert await sending.is_hung_up_on()
        await stopping
        with pytest.raises(OSError):
            await stand.client()


async def test_whoever_does_not_finish_is_cut_off_after_the_grace() -> None:
    async with Stand().serving() as stand:
        client = await stand.client()
        await client.send(request("POST", "/", None, {"Content-Length": "10"}))
        await until(lambda: len(stand.server.counter.busy) == 1)
        await stand.server.stop(0.05)
        assert await client.is_hung_up_on()
        assert stand.memory.is_untouched
