"""Each host of the simulator's table, met over a real socket."""

import asyncio
import base64
import contextlib
import ssl

import aiosmtplib
import pytest

from localstack.simulator.hosts import has_ipv6, start_hosts
from localstack.simulator.profiles import (
    PROFILES,
    RELAY_PASSWORD,
    RELAY_USER,
    Certificate,
    addresses,
)
from localstack.simulator.scripts import Scripts
from localstack.simulator.smtp import World
from localstack.simulator.tls import contexts
from localstack.zones import profile_hosts, world_zone
from tests.support.simulator_stand import HOSTS, PLAIN, running_simulator

pytestmark = pytest.mark.allow_hosts(["127.0.0.0/24", "::1", "localhost"])

ADDRESSES = addresses("127.0.0.")
GONE = (aiosmtplib.SMTPServerDisconnected, ConnectionError)
COMMANDS = {
    "banner": b"",
    "ehlo": b"EHLO me.test\r\n",
    "mail": b"MAIL FROM:<a@b.test>\r\n",
    "rcpt": b"RCPT TO:<x@sim.test>\r\n",
    "data": b"DATA\r\n",
    "body": b"Subject: half\r\n",
    "dot": b"\r\nwhole\r\n.\r\n",
    "quit": b"QUIT\r\n",
}


@pytest.fixture
async def simulator(tmp_path):
    async with running_simulator(tmp_path, special=True) as stand:
        yield stand


class Talk:
    """A client that says what it is told to and hears what comes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def reply(self):
        """The next whole reply, as bytes; empty at the end of the connection."""
        lines = []
        while line := await asyncio.wait_for(self.reader.readline(), 20):
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    async def say(self, words):
        self.writer.write(words)
        return await self.reply()

    async def until(self, phase):
        """Say what leads up to `phase`, then what belongs to it; return that reply."""
        reply = await self.reply()
        for name, words in COMMANDS.items():
            if name != "banner" and name != "body":
                reply = await self.say(words)
            elif name == "body":
                self.writer.write(words)
            if name == phase:
                return await self.reply() if name == "body" else reply
        raise AssertionError(phase)

    async def rest(self):
        """Everything until the end of the connection, a reset counting as one."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 20)
        return b""


@contextlib.asynccontextmanager
async def talk(simulator, name, **how):
    address = ADDRESSES.get(name, name)
    reader, writer = await asyncio.open_connection(address, simulator.smtp_port, **how)
    try:
        yield Talk(reader, writer)
    finally:
        writer.close()


def client(simulator, name, **how):
    return simulator.smtp(ADDRESSES.get(name, name), **how)


@pytest.mark.parametrize("phase", ["banner", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_a_host_that_says_421_at_a_phase_says_it_there_and_closes(simulator, phase):
    async with talk(simulator, f"421-{phase}") as session:
        assert (await session.until(phase)).startswith(b"421 4.")
        assert await session.rest() == b""

    assert (await simulator.get("/api/messages"))["total"] == 0


@pytest.mark.parametrize("phase", ["banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "quit"])
async def test_a_host_that_cuts_at_a_phase_goes_without_a_word(simulator, phase):
    async with talk(simulator, f"cut-{phase}") as session:
        with contextlib.suppress(ConnectionError):
            assert await session.until(phase) == b""

    stored = (await simulator.get("/api/messages"))["total"]
    assert stored == (1 if phase == "quit" else 0)


async def test_a_cut_after_the_reply_follows_a_message_that_was_taken(simulator):
    async with talk(simulator, "cut-after") as session:
        with contextlib.suppress(ConnectionError):
            assert (await session.until("dot")).startswith(b"250 2.0.0")
        assert await session.rest() == b""

    assert (await simulator.get("/api/messages"))["total"] == 1


async def test_a_slow_host_keeps_its_client_waiting_at_its_phase_only(simulator):
    phases = ["banner", "ehlo", "mail", "rcpt", "data", "dot"]

    async def seen(phase, order):
        async with talk(simulator, f"slow-{phase}") as session:
            reply = await session.until(phase)
        order.append(phase)
        return reply[:1]

    async def ordinary(order):
        async with talk(simulator, HOSTS[0]) as session:
            await session.until("dot")
        order.append("ordinary")

    order = []
    first = await asyncio.gather(*(seen(phase, order) for phase in phases), ordinary(order))
    assert order[0] == "ordinary"
    assert first[:-1] == [b"2", b"2", b"2", b"2", b"3", b"2"]


async def test_hosts_slow_in_the_body_or_at_starttls_still_take_the_mail(simulator):
    async def send(name, tag, **how):
        async with client(simulator, name, **how) as smtp:
            await smtp.sendmail("a@b.test", [f"accept+{tag}@sim.test"], PLAIN)

    tls = {"start_tls": True, "tls_context": _unverified()}
    await asyncio.gather(
        send("slow-body", "body", start_tls=False), send("slow-starttls", "tls", **tls)
    )
    assert (await simulator.get("/api/messages?to=accept"))["total"] == 2


def _unverified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def test_the_sixth_message_of_a_connection_gets_421(simulator):
    async with talk(simulator, "limit5") as session:
        for _ in range(5):
            if _ == 0:
                assert (await session.until("dot")).startswith(b"250 ")
                continue
            for name in ("mail", "rcpt", "data"):
                await session.say(COMMANDS[name])
            assert (await session.say(b"x\r\n.\r\n")).startswith(b"250 ")
        assert (await session.say(COMMANDS["mail"])).startswith(b"421 4.7.0 too many messages")
        assert await session.rest() == b""
    async with talk(simulator, "limit5") as session:
        assert (await session.until("dot")).startswith(b"250 ")


async def test_the_fourth_connection_of_a_source_is_refused_and_has_room_later(simulator):
    async with contextlib.AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(talk(simulator, "connections3")) for _ in range(3)
        ]
        for session in sessions:
            assert (await session.reply()).startswith(b"220 ")
        fourth = await stack.enter_async_context(talk(simulator, "connections3"))
        assert (await fourth.reply()).startswith(b"421 4.7.0 too many connections")
        assert await fourth.rest() == b""
        other = {"local_addr": ("127.0.0.5", 0)}
        async with talk(simulator, "connections3", **other) as elsewhere:
            assert (await elsewhere.reply()).startswith(b"220 ")
        assert (await sessions[0].say(b"QUIT\r\n")).startswith(b"221 ")
        await sessions[0].rest()
        async with talk(simulator, "connections3") as again:
            assert (await again.reply()).startswith(b"220 ")


async def test_a_source_above_its_rate_gets_450_and_another_source_does_not(simulator):
    async with client(simulator, "rate5", start_tls=False) as smtp:
        for _ in range(5):
            await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
        with pytest.raises(aiosmtplib.SMTPSenderRefused) as caught:
            await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
        assert (caught.value.code, caught.value.message[:5]) == (450, "4.7.1")
    other = {"source_address": ("127.0.0.5", 0)}
    async with client(simulator, "rate5", start_tls=False, **other) as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)


async def test_a_blocking_host_greets_with_554_and_sender_refusals_are_per_message(simulator):
    async with talk(simulator, "block") as session:
        assert (await session.reply()).startswith(b"554 5.7.1 ")
        assert await session.rest() == b""
    for name, start in (("451-mail", b"451 4.7.1"), ("550-mail", b"550 5.7.1")):
        async with talk(simulator, name) as session:
            for _ in range(2):
                reply = await (session.until("mail") if not _ else session.say(COMMANDS["mail"]))
                assert reply.startswith(start)
            assert (await session.say(COMMANDS["rcpt"])).startswith(b"503 ")


async def test_a_small_host_refuses_by_declared_and_by_real_size(simulator):
    async with talk(simulator, "small") as session:
        assert b"SIZE 1000" in await session.until("ehlo")
        declared = await session.say(b"MAIL FROM:<a@b.test> SIZE=1001\r\n")
        assert declared.startswith(b"552 5.3.4 ")
        for name in ("mail", "rcpt", "data"):
            await session.say(COMMANDS[name])
        assert (await session.say(b"x" * 1_001 + b"\r\n.\r\n")).startswith(b"552 5.3.4 ")
        for name in ("mail", "rcpt", "data"):
            await session.say(COMMANDS[name])
        assert (await session.say(b"x\r\n.\r\n")).startswith(b"250 ")


async def test_hosts_without_starttls_or_with_a_broken_one_behave_so(simulator):
    async with talk(simulator, "no-starttls") as session:
        assert b"STARTTLS" not in await session.until("ehlo")
        assert (await session.say(b"STARTTLS\r\n")).startswith(b"454 ")
    async with talk(simulator, "starttls-refused") as session:
        assert b"STARTTLS" in await session.until("ehlo")
        assert (await session.say(b"STARTTLS\r\n")).startswith(b"454 4.7.0")
        assert (await session.say(COMMANDS["mail"])).startswith(b"250 ")
    async with talk(simulator, "starttls-garbage") as session:
        assert b"STARTTLS" in await session.until("ehlo")
        assert (await session.say(b"STARTTLS\r\n")).startswith(b"220 ")
        assert await session.rest() == b"this is not a TLS record\r\n"
    async with talk(simulator, "starttls-closed") as session:
        await session.until("ehlo")
        assert (await session.say(b"STARTTLS\r\n")).startswith(b"220 ")
        assert await session.rest() == b""
    async with talk(simulator, "cut-starttls") as session:
        await session.until("ehlo")
        with contextlib.suppress(ConnectionError):
            assert await session.say(b"STARTTLS\r\n") == b""


async def test_where_starttls_is_required_mail_goes_through_it(simulator):
    async with talk(simulator, "starttls-required") as session:
        assert (await session.until("mail")).startswith(b"530 5.7.0 ")
    trusting = {"start_tls": True, "local_hostname": "me.test"}
    async with client(
        simulator, "starttls-required", tls_context=_unverified(), **trusting
    ) as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
    assert (await simulator.only_message("accept@sim.test"))["tls"] == "TLSv1.3"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("limit5", ""),
        ("expired", "expired"),
        ("self-signed", "self-signed"),
        ("wrong-name", "mismatch"),
    ],
)
async def test_each_certificate_is_refused_for_what_is_wrong_with_it_alone(
    simulator, name, complaint
):
    async with talk(simulator, name) as session:
        await session.until("ehlo")
        assert (await session.say(b"STARTTLS\r\n")).startswith(b"220 ")
        upgrade = session.writer.start_tls(
            simulator.trusting(), server_hostname=f"mx.{name}.sim.test"
        )
        if not complaint:
            await upgrade
            return
        with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
            await upgrade


async def test_a_host_with_implicit_tls_speaks_it_from_the_first_octet(simulator):
    how = {"ssl": simulator.trusting(), "server_hostname": "mx.implicit-tls.sim.test"}
    async with talk(simulator, "implicit-tls", **how) as session:
        assert b"STARTTLS" not in await session.until("ehlo")
        for name in ("mail", "rcpt", "data"):
            await session.say(COMMANDS[name])
        assert (await session.say(b"x\r\n.\r\n")).startswith(b"250 ")
    assert (await simulator.only_message("x@sim.test"))["tls"] == "TLSv1.3"


@pytest.mark.parametrize("name", ["CRAM-MD5", "LOGIN", "PLAIN"])
async def test_a_relay_wants_the_mechanism_it_offers_and_the_right_password(simulator, name):
    host = f"auth-{name.lower()}"
    async with client(simulator, host, start_tls=False) as smtp:
        await smtp.ehlo()
        assert smtp.esmtp_extensions["auth"] == name
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"5\.7\.0 Authentication"):
            await smtp.mail("a@b.test")
        auth = getattr(smtp, f"auth_{name.lower().replace('-', '')}")
        with pytest.raises(aiosmtplib.SMTPAuthenticationError) as caught:
            await auth(RELAY_USER, "wrong")
        assert (caught.value.code, caught.value.message[:5]) == (535, "5.7.8")
        await auth(RELAY_USER, RELAY_PASSWORD)
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
    await simulator.only_message("accept@sim.test")


async def test_a_relay_behind_tls_offers_auth_only_there_and_other_hosts_never_do(simulator):
    async with client(simulator, "auth-starttls", start_tls=False) as smtp:
        await smtp.ehlo()
        assert "auth" not in smtp.esmtp_extensions
        await smtp.starttls(tls_context=_unverified())
        await smtp.ehlo()
        assert smtp.esmtp_extensions["auth"] == "CRAM-MD5 LOGIN PLAIN"
        await smtp.login(RELAY_USER, RELAY_PASSWORD)
        await smtp.sendmail("a@b.test", ["accept+1@sim.test"], PLAIN)
    how = {"use_tls": True, "tls_context": _unverified()}
    async with client(simulator, "auth-implicit-tls", **how) as smtp:
        await smtp.login(RELAY_USER, RELAY_PASSWORD)
        await smtp.sendmail("a@b.test", ["accept+2@sim.test"], PLAIN)
    async with talk(simulator, HOSTS[0]) as session:
        assert b"AUTH" not in await session.until("ehlo")
        assert (await session.say(b"AUTH PLAIN AGEAYg==\r\n")).startswith(b"502 ")
    assert (await simulator.get("/api/messages?to=accept"))["total"] == 2


async def test_a_relay_bears_broken_auth_dialogues(simulator):
    async with talk(simulator, "auth") as session:
        await session.until("ehlo")
        assert (await session.say(b"AUTH CRAM-MD5\r\n")).startswith(b"334 ")
        assert (await session.say(b"%%%\r\n")).startswith(b"501 ")
        assert (await session.say(b"AUTH CRAM-MD5\r\n")).startswith(b"334 ")
        assert (await session.say(base64.b64encode(b"only-one-word") + b"\r\n"))[:4] == b"535 "
        assert (await session.say(b"AUTH LOGIN\r\n")).startswith(b"334 ")
        assert (await session.say(b"*\r\n")).startswith(b"501 ")
        assert (await session.say(b"AUTH NTLM\r\n")).startswith(b"504 ")
        assert (await session.say(COMMANDS["mail"])).startswith(b"530 5.7.0")


@pytest.mark.parametrize(
    ("name", "words", "start"),
    [
        ("no-8bitmime", b"MAIL FROM:<a@b.test> BODY=8BITMIME\r\n", b"555 5.5.4"),
        ("no-smtputf8", b"MAIL FROM:<a@b.test> SMTPUTF8\r\n", b"501 5.5.4"),
        ("no-pipelining", COMMANDS["mail"] + COMMANDS["rcpt"], b"503 5.5.0"),
        ("no-esmtp", b"EHLO again.test\r\n", b"502 5.5.1"),
    ],
)
async def test_what_a_host_does_not_offer_it_does_not_take(simulator, name, words, start):
    async with talk(simulator, name) as session:
        offered = await session.until("ehlo")
        assert name.removeprefix("no-").upper().encode() not in offered
        assert (await session.say(words)).startswith(start)
    async with client(simulator, name, start_tls=False) as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
    await simulator.only_message("accept@sim.test")


@pytest.mark.parametrize("name", ["pieces", "multiline"])
async def test_odd_but_correct_replies_are_understood(simulator, name):
    async with client(simulator, name, start_tls=False) as smtp:
        await smtp.sendmail("a@b.test", ["accept@sim.test"], PLAIN)
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as caught:
            await smtp.sendmail("a@b.test", ["hard-bounce@sim.test"], PLAIN)
        text = caught.value.recipients[0].message
    assert text.count("\n") == (2 if name == "multiline" else 0)
    assert text.endswith("5.1.1 no such mailbox")
    await simulator.only_message("accept@sim.test")


async def test_incorrect_replies_come_as_they_are(simulator):
    async with talk(simulator, "garbage-banner") as session:
        assert await session.rest() == b"well met, traveller\r\n"
    async with talk(simulator, "garbage-mail") as session:
        assert await session.until("mail") == b"well met, traveller\r\n"
    async with talk(simulator, "long-reply") as session:
        assert len(await session.until("mail")) > 9_000
    async with talk(simulator, "endless-reply") as session:
        assert (await session.until("mail")).count(b"\r\n") == 5_001


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_a_host_listens_on_ipv6_too(tmp_path):
    tls = contexts(tmp_path, ["mx.ipv6.sim.test"])[Certificate.GOOD]
    world = World(None, None, Scripts())
    mx = await start_hosts(["::1"], [], 0, world, tls)
    try:
        async with aiosmtplib.SMTP(hostname="::1", port=mx.port, start_tls=False) as smtp:
            assert (await smtp.noop())[0] == 250
    finally:
        await mx.stop()


def test_every_host_of_the_table_has_a_domain_a_name_and_an_address_of_its_own():
    records = world_zone()["records"]
    hosts = profile_hosts()

    assert len(set(hosts.values())) == len({row.name for row in PROFILES}) == len(PROFILES)
    for row in PROFILES:
        host = f"mx.{row.name}.sim.test"
        assert [f"{row.name}.sim.test.", "MX", f"10 {host}."] in records
        assert [f"{host}.", "A", hosts[host]] in records
