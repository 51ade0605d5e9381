"""`python -m hostapi` with the real adapters: large mail is in table, store and queue, and the
process takes no more memory for it than it says it needs.
"""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostapi.host import memory_needed, read_host
from hostapi.limits import MEGABYTE
from localstack.certificates import issue
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Credential, Server, ServerId
from tests.contract.conftest import Cloud
from tests.hostapi.stand import JSON_CALL, Client, until
from tests.hostapi.test_large_bodies import message_of, raw_call
from tests.support.api_calls import KEY
from tests.support.emulator import ROOT

pytestmark = pytest.mark.emulator
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
LARGEST = 25 * MEGABYTE
ENOUGH = memory_needed(
    read_host({"MAILROOM_TLS_CERT": "certificate", "MAILROOM_TLS_KEY": "key"}), LARGEST
)


def settle(cloud: Cloud) -> None:
    keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
    rows = DirectoryRows(
        bound(DirectoryRow, cloud.settings.resource("table", "directory")), keyring
    )
    rows.put_server(SERVER)
    rows.put_credential(Credential("c1", SERVER.id, "api", "main"), KEY)
    rows.put_domain(
        "demo.test",
        f"server#{SERVER.id}",
        selector="sel",
        private_key=b"k",
        verified=True,
        return_path_ok=True,
    )
    rows.put_key("token", "a", b"x" * 32, created_at=1.0)


@pytest.fixture
def host(cloud: Cloud, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    settle(cloud)
    certificate, key = issue(tmp_path, "api-large", ["localhost", "127.0.0.1"])
    environment = {
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        **cloud.settings.resources,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions' / 'api'}",
        "MAILROOM_TLS_CERT": str(certificate),
        "MAILROOM_TLS_KEY": str(key),
        "MAILROOM_HOSTAPI_PORTS": "0",
        "MAILROOM_HOSTAPI_SPOOL_DIR": str(tmp_path),
        "MAILROOM_RETURN_PATH_DOMAIN": "rp.mail.test",
        "MAILROOM_MAX_MEMORY_MB": str(ENOUGH // MEGABYTE),
        "MAILROOM_READY_FILE": str(tmp_path / "ready.json"),
    }
    with subprocess.Popen([sys.executable, "-m", "hostapi"], env=environment, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()


def peak(pid: int) -> int:
    """The most memory the process has had, in octets."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def ask(port: int, path: str, body: bytes) -> Any:
    client = await Client.connect(port)
    answer = await client.ask("POST", path, body, **JSON_CALL)
    client.hang_up()
    assert answer.status == 200, answer
    return answer.json


async def test_the_largest_messages_are_stored_within_the_memory_that_is_said(
    host: "subprocess.Popen[bytes]", cloud: Cloud, tmp_path: Path
) -> None:
    ready = tmp_path / "ready.json"
    await until(ready.exists)
    (port,) = json.loads(ready.read_text())["ports"]
    raw = message_of(LARGEST)
    call = raw_call(raw)
    await ask(port, "/api/v1/send/raw", raw_call(message_of(1_000)))
    before = peak(host.pid)
    sent = await ask(port, "/api/v1/send/raw", call)
    assert sent["status"] == "success", sent
    alone = peak(host.pid)
    letter = {
        "to": ["ann@example.org"],
        "from": "shop@demo.test",
        "plain_body": "look",
        "attachments": [
            {"name": "a.bin", "data": base64.b64encode(os.urandom(LARGEST * 7 // 10)).decode()}
        ],
    }
    octets = json.dumps(letter).encode()
    made = await ask(port, "/api/v1/send/message", octets)
    assert made["status"] == "success", made
    composed = peak(host.pid)
    paths = [("/api/v1/send/raw", call), ("/api/v1/send/message", octets)] * 3
    await asyncio.gather(*(ask(port, *each) for each in paths))
    together = peak(host.pid)
    figures = [each // MEGABYTE for each in (before, alone, composed, together)]
    sys.stdout.write(f"MB at rest, after one raw, one composed, six at once: {figures}\n")
    assert together <= ENOUGH, figures
    (id_,) = sent["data"]["messages"].values()
    wanted = json.dumps({"id": id_["id"], "_expansions": ["raw_message"]}).encode()
    shown = await ask(port, "/api/v1/messages/message", wanted)
    assert base64.b64decode(shown["data"]["raw_message"]) == raw
    stored = cloud.client("s3").list_objects_v2(Bucket=cloud.settings.resource("bucket", "bodies"))
    assert sorted(each["Size"] for each in stored["Contents"])[-1] == LARGEST
