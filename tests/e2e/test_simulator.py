import asyncio
import base64
import contextlib
import hashlib
import json
import socket
import ssl
from email.message import EmailMessage

import aiosmtplib
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from localstack.simulator.behaviours import TABLE
from localstack.simulator.hosts import start_hosts
from localstack.simulator.profiles import PROFILES
from localstack.simulator.smtp import MAX_RECIPIENTS, World
from tests.support.simulator_stand import HOSTS, PLAIN, publish, running_simulator, signed, tenant


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65_537, 2048)


@pytest.fixture
async def simulator(tmp_path):
    async with running_simulator(tmp_path) as stand:
        yield stand


async def test_a_message_sent_over_tls_is_shown_with_all_that_is_known_about_it(simulator):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@acme.test", "accept@sim.test", "Grüße <b>"
    mail["Message-ID"] = "<abc@acme.test>"
    mail.set_content("plain words")
    mail.add_alternative(
        '<p>rich words <a href="https://t.test/c?x=1&amp;y=2">go</a></p>'
        '<p style="display:none"><img src="https://t.test/o.gif"></p>',
        subtype="html",
    )
    mail.add_attachment(b"\x00PDF", maintype="application", subtype="pdf", filename="bill.pdf")
    raw = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n", max_line_length=76))

    async with simulator.smtp(start_tls=True, local_hostname="out.test") as smtp:
        await smtp.ehlo()
        for name in ("size", "8bitmime", "smtputf8", "pipelining", "enhancedstatuscodes"):
            assert smtp.supports_extension(name)
        assert smtp.esmtp_extensions["size"] == str(50 * 1024 * 1024)
        await smtp.sendmail("bounce@acme.test", ["accept+1@sim.test"], raw)

    found = await simulator.only_message("accept+1@sim.test")
    assert found["subject"] == "Grüße <b>"
    assert found["message_id"] == "abc@acme.test"
    assert (found["mail_from"], found["to"]) == ("bounce@acme.test", "accept+1@sim.test")
    assert (found["tls"], found["helo"], found["mx_host"]) == ("TLSv1.3", "out.test", HOSTS[0])
    assert found["text"].strip() == "plain words"
    assert found["links"] == ["https://t.test/c?x=1&y=2"]
    assert found["pixels"] == ["https://t.test/o.gif"]
    assert ["To", "accept@sim.test"] in found["headers"]
    assert base64.b64decode(found["raw"]) == raw
    assert found["size"] == len(raw)
    assert found["attachments"] == [
        {
            "filename": "bill.pdf",
            "content_type": "application/pdf",
            "size": 4,
            "sha256": hashlib.sha256(b"\x00PDF").hexdigest(),
        }
    ]
    path = f"{simulator.url}/api/messages/{found['id']}"
    async with simulator.http.get(f"{path}/attachments/0") as response:
        assert await response.read() == b"\x00PDF"
        assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''bill.pdf"
    async with simulator.http.get(f"{path}/raw") as response:
        assert await response.read() == raw

    page = await simulator.page(f"/messages/{found['id']}")
    assert "Grüße &lt;b&gt;" in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    assert "bill.pdf" in page
    assert f"/messages/{found['id']}" in await simulator.page("/")


async def test_the_inbox_explains_every_behaviour(simulator):
    page = await simulator.page("/")

    assert all(f"{row.name}@sim.test" in page for row in TABLE)
    assert all(f"@{row.name}.sim.test" in page for row in PROFILES)


async def test_clear_text_is_shown_as_such_and_the_null_return_path_too(simulator):
    async with simulator.smtp(start_tls=False) as smtp:
        await smtp.sendmail("", ["accept@sim.test"], PLAIN)

    found = await simulator.only_message("accept@sim.test")
    assert (found["tls"], found["mail_from"]) == (None, "")
    assert base64.b64decode(found["raw"]) == PLAIN


@pytest.mark.parametrize(
    ("name", "phase", "code", "enhanced"),
    [
        ("hard-bounce", aiosmtplib.SMTPRecipientRefused, 550, "5.1.1"),
        ("soft-bounce", aiosmtplib.SMTPRecipientRefused, 552, "5.2.2"),
        ("blocked", aiosmtplib.SMTPRecipientRefused, 550, "5.7.1"),
        ("defer", aiosmtplib.SMTPRecipientRefused, 451, "4.3.0"),
        ("reject-data", aiosmtplib.SMTPDataError, 554, "5.7.1"),
        ("defer-data", aiosmtplib.SMTPDataError, 451, "4.3.0"),
    ],
)
async def test_a_refusing_address_refuses_every_time_and_keeps_nothing(
    simulator, name, phase, code, enhanced
):
    async with simulator.smtp() as smtp:
        for _ in range(2):
            with pytest.raises((phase, aiosmtplib.SMTPRecipientsRefused)) as caught:
                await smtp.sendmail("a@acme.test", [f"{name}+x@sim.test"], PLAIN)
            error = caught.value
            if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
                error = error.recipients[0]
                assert isinstance(error, phase)
            assert (error.code, error.message[:5]) == (code, enhanced)

    assert (await simulator.get("/api/messages"))["total"] == 0


async def test_greylisting_defers_each_address_once(simulator):
    async with simulator.smtp() as smtp:
        await smtp.ehlo()
        for address in ("greylist+a@sim.test", "greylist+b@sim.test"):
            await smtp.mail("a@acme.test")
            with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"4\.7\.1"):
                await smtp.rcpt(address)
            await smtp.rset()
            await smtp.sendmail("a@acme.test", [address], PLAIN)

    assert (await simulator.get("/api/messages?to=greylist"))["total"] == 2


async def test_a_connection_dropped_after_the_dot_has_stored_and_then_accepts(simulator):
    for tls in (False, True):
        address = f"drop-after-dot+{tls}@sim.test"
        how = {"start_tls": tls}
        with pytest.raises((aiosmtplib.SMTPServerDisconnected, ConnectionError)):
            async with simulator.smtp(**how) as smtp:
                await smtp.sendmail("a@acme.test", [address], PLAIN)
        await simulator.only_message(address)

        async with simulator.smtp(**how) as smtp:
            await smtp.sendmail("a@acme.test", [address], PLAIN)
        assert (await simulator.get(f"/api/messages?to=drop-after-dot%2B{tls}"))["total"] == 2


@pytest.mark.parametrize("name", ["ratelimit", "disconnect"])
async def test_a_hanging_up_address_ends_the_connection(simulator, name):
    reader, writer = await asyncio.open_connection(HOSTS[0], simulator.smtp_port)
    writer.write(b"EHLO me\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<%b@sim.test>\r\n" % name.encode())
    with contextlib.suppress(ConnectionError):
        replies = (await asyncio.wait_for(reader.read(), 20)).splitlines()
        wanted = b"421 4.7.0" if name == "ratelimit" else b"250 2.0.0"
        assert replies[-1].startswith(wanted)
    writer.close()


async def test_a_slow_address_replies_only_after_its_message_is_stored(simulator):
    async with simulator.smtp() as smtp:
        await smtp.ehlo()
        sending = asyncio.create_task(smtp.sendmail("a@b.test", ["slow+1s@sim.test"], PLAIN))
        async with asyncio.timeout(20):
            while (await simulator.get("/api/messages"))["total"] == 0:
                assert not sending.done()
        assert not sending.done()
        await sending


async def test_the_busy_host_greets_with_421_and_the_other_hosts_share_the_port(simulator):
    reader, writer = await asyncio.open_connection(HOSTS[2], simulator.smtp_port)
    assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"421 4.3.2 ")
    writer.close()

    async with simulator.smtp(HOSTS[1]) as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
    assert (await simulator.only_message("accept@sim.test"))["mx_host"] == HOSTS[1]


async def test_a_port_asked_for_is_had_on_every_address_or_on_none(simulator):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    world = World(None, None, None)
    with socket.socket() as finder:
        finder.bind((HOSTS[0], 0))
        free = finder.getsockname()[1]
    for busy in ([], HOSTS[:1]):
        mx = await start_hosts(HOSTS[:1], busy, free, world, tls)
        assert mx.port == free
        await mx.stop()
    spare = "127.0.0.5"
    with pytest.raises(OSError, match="in use"):
        await start_hosts([spare, *HOSTS], [], simulator.smtp_port, world, tls)
    await (await start_hosts([spare], [], simulator.smtp_port, world, tls)).stop()


async def test_pipelined_commands_are_answered_one_by_one_in_order(simulator):
    reader, writer = await asyncio.open_connection(HOSTS[0], simulator.smtp_port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.write(b"EHLO me.test\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    writer.write(
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<hard-bounce@sim.test>\r\n"
        b"RCPT TO:<accept@sim.test>\r\nDATA\r\n"
    )
    codes = [(await reader.readline())[:9] for _ in range(4)]
    assert codes == [b"250 2.0.0", b"550 5.1.1", b"250 2.1.5", b"354 End d"]
    # The next transaction is begun before the verdict on this one, and goes wrong in the middle.
    writer.write(
        PLAIN.replace(b"\r\n.", b"\r\n..") + b".\r\nMAIL FROM:<a@b.test>\r\n"
        b"RCPT TO:<hard-bounce@sim.test>\r\nDATA\r\nRSET\r\nNOOP\r\nQUIT\r\n"
    )
    replies = (await asyncio.wait_for(reader.read(), 20)).splitlines()
    assert [reply[:9] for reply in replies] == [
        b"250 2.0.0",
        b"250 2.0.0",
        b"550 5.1.1",
        b"503 5.5.1",
        b"250 2.0.0",
        b"250 2.0.0",
        b"221 2.0.0",
    ]
    writer.close()
    assert base64.b64decode((await simulator.only_message("accept@sim.test"))["raw"]) == PLAIN


async def test_commands_injected_before_the_tls_handshake_are_discarded(simulator):
    context = simulator.trusting()
    reader, writer = await asyncio.open_connection(HOSTS[0], simulator.smtp_port)
    await reader.readline()
    writer.write(b"EHLO me.test\r\n")
    while (await reader.readline())[3:4] == b"-":
        pass
    writer.write(b"STARTTLS\r\nNOOP injected\r\n")
    assert (await reader.readline()).startswith(b"220 ")
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        await writer.start_tls(context, server_hostname="mx1.sim.test")
        writer.write(b"NOOP\r\nQUIT\r\n")
        replies = (await asyncio.wait_for(reader.read(), 20)).splitlines()
        assert len(replies) == 2
    writer.close()


async def test_too_many_recipients_or_too_much_mail_is_refused(simulator):
    async with simulator.smtp(start_tls=False) as smtp:
        await smtp.ehlo()
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"5\.3\.4"):
            await smtp.mail("a@b.test", options=[f"SIZE={50 * 1024 * 1024 + 1}"])
        await smtp.mail("a@b.test")
        for number in range(MAX_RECIPIENTS):
            await smtp.rcpt(f"accept+{number}@sim.test")
        with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"4\.5\.3"):
            await smtp.rcpt("accept+more@sim.test")


async def test_good_signatures_pass_and_spoiled_missing_or_unknown_ones_do_not(simulator, rsa_key):
    publish(simulator.zone, *tenant(rsa_key))
    good = signed(PLAIN, rsa_key)
    other = signed(PLAIN, rsa_key).replace(b"s=postal-ABCDEF", b"s=postal-GHIJKL")
    broken_then_good = signed(good.replace(b"a@acme", b"b@acme", 1), rsa_key)
    cases = {
        "good": (good, "pass"),
        "body": (good.replace(b"hi\r\n", b"ho\r\n"), "fail"),
        "header": (good.replace(b"Subject: hello", b"Subject: hallo"), "fail"),
        "nokey": (other, "fail"),
        "plain": (PLAIN, "none"),
        "garbled": (b"DKIM-Signature: v=1; rubbish\r\n" + PLAIN, "error"),
        "two": (broken_then_good, "pass"),
    }
    async with simulator.smtp() as smtp:
        for name, (raw, _) in cases.items():
            await smtp.sendmail("a@b.test", [f"accept+{name}@sim.test"], raw)

    listed = (await simulator.get("/api/messages"))["messages"]
    verdicts = {each["to"].partition("@")[0].removeprefix("accept+"): each for each in listed}
    assert {name: verdicts[name]["dkim"] for name in cases} == {
        name: verdict for name, (_, verdict) in cases.items()
    }
    detail = await simulator.only_message("accept+good@sim.test")
    assert detail["dkim_reason"] == "d=acme.test s=postal-ABCDEF: 2048 bit key"


async def test_a_key_server_that_fails_makes_the_verdict_an_error(simulator, rsa_key):
    document = json.loads(simulator.zone.read_text())
    simulator.zone.write_text(json.dumps(document | {"servfail": ["acme.test"]}))
    async with simulator.smtp() as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], signed(PLAIN, rsa_key))

    assert (await simulator.only_message("accept@sim.test"))["dkim"] == "error"


async def test_a_test_can_dictate_replies_one_a_transaction(simulator):
    replies = [
        {"phase": "RCPT", "code": 451, "text": "4.7.1 later"},
        {"phase": "DATA", "code": 452, "text": "4.3.1 no room"},
        {"phase": ".", "code": 554, "text": "5.6.0 no"},
        {"phase": ".", "code": 250, "text": "2.0.0 queued as 42"},
    ]
    await simulator.post("/api/script", json={"recipient": "x@sim.test", "replies": replies})

    async with simulator.smtp() as smtp:
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match=r"4\.7\.1 later"):
            await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN)
        for text in (r"4\.3\.1 no room", r"5\.6\.0 no"):
            with pytest.raises(aiosmtplib.SMTPDataError, match=text):
                await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN)
        assert (await simulator.get("/api/messages"))["total"] == 0
        for text in ("2.0.0 queued as 42", "2.0.0 message accepted"):
            assert (await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN))[1] == text
    assert (await simulator.get("/api/messages?to=x@sim.test"))["total"] == 2


async def test_a_dictated_cut_leaves_no_trace_unless_told_to_store(simulator):
    for store, total in ((False, 0), (True, 1)):
        script = {"phase": ".", "code": 0, "store": store}
        await simulator.post("/api/script", json={"recipient": "x@sim.test", "replies": [script]})
        with pytest.raises((aiosmtplib.SMTPServerDisconnected, ConnectionError)):
            async with simulator.smtp() as smtp:
                await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN)
        assert (await simulator.get("/api/messages"))["total"] == total


async def test_the_list_pages_both_ways_and_can_be_emptied(simulator):
    async with simulator.smtp() as smtp:
        for number in range(5):
            await smtp.sendmail("a@b.test", [f"accept+{number}@sim.test"], PLAIN)

    newest = (await simulator.get("/api/messages?limit=2"))["messages"]
    assert [each["to"] for each in newest] == ["accept+4@sim.test", "accept+3@sim.test"]
    after = await simulator.get(f"/api/messages?limit=1&after={newest[1]['id']}")
    assert ([each["id"] for each in after["messages"]], after["total"]) == ([newest[0]["id"]], 5)

    async with simulator.http.delete(simulator.url + "/api/messages") as response:
        assert await response.json() == {"deleted": 5}
    assert await simulator.get("/api/messages") == {"messages": [], "total": 0}
    await simulator.get(f"/api/messages/{newest[0]['id']}", status=404)
