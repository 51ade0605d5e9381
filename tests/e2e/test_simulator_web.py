import asyncio
import base64
import contextlib
import io
import json
import signal
import subprocess
import sys
import threading
import time

import aiohttp
import aiosmtplib
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from localstack.simulator.mailboxes import Envelope, Mailboxes
from localstack.simulator.pages import PAGE, inbox
from tests.support.simulator_stand import HOSTS, PLAIN, running_simulator


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65_537, 2048)


@pytest.fixture
async def simulator(tmp_path):
    async with running_simulator(tmp_path) as stand:
        yield stand


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/messages?limit=x", 400),
        ("/api/messages?limit=10001", 400),
        ("/api/messages?since=yesterday", 400),
        ("/?until=0001-01-01T00:00:00%2B23:59", 400),
        ("/api/copies?since=9999-99-99", 400),
        ("/api/webhooks?limit=-1", 400),
        ("/api/messages/none", 404),
        ("/api/messages/none/raw", 404),
        ("/messages/none", 404),
        ("/nowhere", 404),
    ],
)
async def test_a_wrong_request_gets_an_error_that_says_what(simulator, path, status):
    assert (await simulator.get(path, status=status))["error"]


async def test_a_wrong_script_gets_an_error_that_says_what(simulator):
    await simulator.post("/api/script", status=415, data=b"{}")
    await simulator.post(
        "/api/script", status=400, data=b"{", headers={"Content-Type": "application/json"}
    )
    assert b"recipient" in await simulator.post("/api/script", status=400, json={})


async def test_mail_is_found_by_recipient_time_and_place_in_the_list(simulator):
    async with simulator.smtp() as smtp:
        for number in range(4):
            to = [f"accept+{number}@sim.test", "accept+all@sim.test"]
            await smtp.sendmail("a@b.test", to, PLAIN)

    every = (await simulator.get("/api/messages"))["messages"]
    assert [each["copies"] for each in every if "+all" in each["to"]] == [4, 4, 4, 4]
    counts = await simulator.get("/api/copies?to=accept")
    assert counts["total"] == 8
    assert counts["recipients"]["accept+all@sim.test"] == 4
    only = await simulator.get("/api/messages?to=Accept%2BALL@sim.test&limit=3")
    assert ([each["to"] for each in only["messages"]], only["total"]) == (
        ["accept+all@sim.test"] * 3,
        4,
    )
    older = await simulator.get(f"/api/messages?before={every[2]['id']}&limit=2")
    assert older["messages"] == every[3:5]

    newest = every[0]["received_at"]
    since = (await simulator.get(f"/api/messages?since={newest}"))["messages"]
    assert since == [each for each in every if each["received_at"] >= newest]
    until = await simulator.get(f"/api/copies?until={newest}")
    assert until["total"] == 8 - len(since)
    later = newest[:-6].replace(newest[:4], "2999") + "-05:00"
    assert (await simulator.get(f"/api/messages?since={later}"))["total"] == 0


def test_ten_thousand_messages_can_be_listed_filtered_counted_and_paged(tmp_path):
    mailboxes = Mailboxes(tmp_path, keep=10_000)
    envelope = Envelope("a@b.test", "127.0.0.2", "127.0.0.1", "me", "", "")
    for number in range(101):
        mailboxes.store(envelope, [f"u{number}x{copy}@sim.test" for copy in range(100)], PLAIN)
    for _ in range(2):
        mailboxes.store(envelope, ["u1x1@sim.test"], PLAIN)

    assert (len(mailboxes), mailboxes.count("u100x5@sim.test")) == (10_000, 1)
    # The first hundred are forgotten, and two more: the first u1x1 is the second of them.
    assert (mailboxes.count("u0x"), mailboxes.count("u1x0@sim.test")) == (0, 0)
    assert mailboxes.copies("u1x1@sim.test") == {"u1x1@sim.test": 2}
    seen, before = [], ""
    while found := mailboxes.newest(before=before, limit=3_000):
        seen += found
        before = found[-1].id
    assert [each.id for each in seen] == sorted((each.id for each in seen), reverse=True)
    assert len(seen) == 10_000
    page = inbox(mailboxes.newest(limit=PAGE), to="u&", total=len(mailboxes))
    assert f"/?to=u%26&amp;before={seen[PAGE - 1].id}" in page
    mailboxes.clear()
    assert mailboxes.newest(to="u1x1@sim.test", limit=1) == []
    mailboxes.close()


def webhook(uuid, key, event="MessageSent"):
    body = json.dumps(
        {"event": event, "timestamp": 1.5, "payload": {"message": {"id": 1}}, "uuid": uuid}
    ).encode()
    headers = {"Content-Type": "application/json"}
    for name, algorithm in (
        ("X-Postal-Signature", hashes.SHA1()),
        ("X-Postal-Signature-256", hashes.SHA256()),
    ):
        signature = key.sign(body, padding.PKCS1v15(), algorithm)
        headers[name] = base64.b64encode(signature).decode()
    return {"data": body, "headers": headers}


def publish_key(folder, key):
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "webhook.pem").write_bytes(key.public_key().public_bytes(*form))


async def test_webhooks_are_verified_once_the_key_is_there_and_listed(simulator, rsa_key):
    await simulator.post("/webhooks/mine", **webhook("u0", rsa_key))
    publish_key(simulator.folder, rsa_key)
    await simulator.post("/webhooks/mine", **webhook("u1", rsa_key, "MessageBounced"))
    forged = webhook("u2", rsa_key)
    forged["data"] += b" "
    await simulator.post("/webhooks/mine", **forged)
    half = webhook("u3", rsa_key)
    del half["headers"]["X-Postal-Signature"]
    await simulator.post("/webhooks/mine", **half)

    found = await simulator.get("/api/webhooks")
    assert [(each["uuid"], each["verified"]) for each in found["webhooks"]] == [
        ("u3", False),
        ("u2", False),
        ("u1", True),
        ("u0", False),
    ]
    assert found["webhooks"][0]["signatures"] == {"sha1": False, "sha256": True}
    (bounced,) = (await simulator.get("/api/webhooks?event=MessageBounced&limit=5"))["webhooks"]
    assert bounced["payload"] == {"message": {"id": 1}}
    assert bounced["headers"]["Content-Type"] == "application/json"
    assert (bounced["answer"], bounced["name"]) == (200, "mine")
    assert "MessageBounced" in await simulator.page("/webhooks")


async def test_a_receiver_can_be_told_to_fail_the_first_times_of_each_uuid(simulator, rsa_key):
    for status in (500, 500, 200, 200):
        await simulator.post("/webhooks/mine?fail=2", status=status, **webhook("u1", rsa_key))
    await simulator.post("/webhooks/mine?fail=2", status=500, **webhook("u2", rsa_key))
    await simulator.post("/webhooks/other?fail=1", status=500, **webhook("u1", rsa_key))

    found = await simulator.get("/api/webhooks")
    assert [each["answer"] for each in found["webhooks"]] == [500, 500, 200, 200, 500, 500]


async def test_a_webhook_that_is_not_json_or_too_big_is_refused(simulator):
    for body in (b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":NaN}'):
        await simulator.post("/webhooks/mine", status=400, data=body)
    await simulator.post("/webhooks/mine", status=413, data=io.BytesIO(b"x" * 1_048_577))

    found = await simulator.get("/api/webhooks")
    assert {(each["answer"], each["payload"]) for each in found["webhooks"]} == {(400, None)}
    assert base64.b64decode(found["webhooks"][-1]["body"]) == b"[]"
    await simulator.page("/webhooks")


class Program:
    """The simulator as its own process."""

    def __init__(self, folder, rounds):
        self.ready = folder / f"ready-{rounds}.json"
        command = [sys.executable, "-m", "localstack.simulator", "--folder", str(folder)]
        command += ["--ready-file", str(self.ready), "--verify", "view"]
        command += ["--webhook-public-key", str(folder / "webhook.pem")]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while not self.ready.exists():
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)
        return json.loads(self.ready.read_text())

    def end(self, number):
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def program(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda rounds: stack.enter_context(Program(tmp_path, rounds))


async def test_killed_at_any_moment_it_keeps_what_it_acknowledged(tmp_path, program, rsa_key):
    publish_key(tmp_path, rsa_key)
    first = program(1)
    facts = await asyncio.to_thread(first.wait_until_ready)
    url = f"http://127.0.0.1:{facts['web_port']}"
    acknowledged: set[str] = set()
    mailed: set[str] = set()
    enough = asyncio.Event()

    def look():
        if len(acknowledged) >= 20 and len(mailed) >= 20:
            enough.set()

    async def post_for_ever(http):
        for number in range(10_000):
            uuid = f"u{number}"
            async with http.post(f"{url}/webhooks/mine", **webhook(uuid, rsa_key)) as response:
                if response.status == 200:
                    acknowledged.add(uuid)

    async def mail_for_ever(port):
        async with aiosmtplib.SMTP(hostname=HOSTS[0], port=port, start_tls=False) as smtp:
            for number in range(10_000):
                await smtp.sendmail("a@b.test", [f"accept+{number}@sim.test"], PLAIN)
                mailed.add(f"accept+{number}@sim.test")
                look()

    async with aiohttp.ClientSession() as http:
        flows = [
            asyncio.create_task(post_for_ever(http)),
            asyncio.create_task(mail_for_ever(facts["smtp_port"])),
        ]
        signalled = asyncio.create_task(enough.wait())
        await asyncio.wait([signalled, *flows], timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert signalled.done(), [flow.exception() for flow in flows if flow.done()]
        first.end(signal.SIGKILL)
        await asyncio.wait(flows)
        assert all(flow.exception() is not None for flow in flows)

    again = program(2)
    facts = await asyncio.to_thread(again.wait_until_ready)
    url = f"http://127.0.0.1:{facts['web_port']}"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}/api/webhooks?limit=1000") as response:
            webhooks = (await response.json())["webhooks"]
        async with http.get(f"{url}/api/messages?limit=1000") as response:
            messages = (await response.json())["messages"]
    assert acknowledged <= {each["uuid"] for each in webhooks}
    assert all(each["verified"] for each in webhooks)
    assert mailed <= {each["to"] for each in messages}
    assert await asyncio.to_thread(again.end, signal.SIGTERM) == 0


def test_a_folder_serves_one_simulator_at_a_time(program):
    first = program(1)
    first.wait_until_ready()
    second = program(2)
    _, complaint = second.process.communicate(timeout=30)

    assert (second.process.returncode, b"another simulator" in complaint) == (2, True)
    assert first.end(signal.SIGTERM) == 0
