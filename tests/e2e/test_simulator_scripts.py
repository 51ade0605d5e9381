"""Scripts over HTTP, and the recipients that act at DATA and later, over real sockets."""

import asyncio
import contextlib

import aiosmtplib
import pytest

from tests.support.simulator_stand import HOSTS, PLAIN, running_simulator

GONE = (aiosmtplib.SMTPServerDisconnected, ConnectionError)


@pytest.fixture
async def simulator(tmp_path):
    async with running_simulator(tmp_path) as stand:
        yield stand


async def script(simulator, key, *steps, status=200):
    return await simulator.put(f"/scripts/{key}", json=list(steps), status=status)


async def send(simulator, to="x@sim.test", **how):
    async with simulator.smtp(start_tls=False, **how) as smtp:
        return await smtp.sendmail("a@b.test", [to], PLAIN)


async def test_a_host_plays_its_script_in_order_and_says_what_was_used(simulator):
    await script(
        simulator,
        "mx1.sim.test",
        {"phase": "mail", "action": "reply", "code": 451, "text": "4.3.0 one", "times": 2},
        {"phase": "mail", "action": "reply", "code": 452, "text": ["4.3.1 two", "4.3.1 more"]},
        {"phase": "ehlo", "action": "delay", "seconds": 0.01},
    )
    async with simulator.smtp(start_tls=False) as smtp:
        for text in ("4.3.0 one", "4.3.0 one", "4.3.1 two\n4.3.1 more"):
            with pytest.raises(aiosmtplib.SMTPSenderRefused) as caught:
                await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN)
            assert caught.value.message == text
        await smtp.sendmail("a@b.test", ["x@sim.test"], PLAIN)

    found = await simulator.get("/scripts/127.0.0.2")
    assert [(step["used"], step["times"]) for step in found["steps"]] == [(2, 2), (1, 1), (1, 1)]
    assert [use["phase"] for use in found["uses"]] == ["ehlo", "mail", "mail", "mail"]
    assert {use["peer"] for use in found["uses"]} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("phase", "raised"),
    [
        ("banner", aiosmtplib.SMTPConnectResponseError),
        ("mail", aiosmtplib.SMTPSenderRefused),
        ("rcpt", aiosmtplib.SMTPRecipientsRefused),
        ("data", aiosmtplib.SMTPDataError),
        ("body", aiosmtplib.SMTPDataError),
        ("dot", aiosmtplib.SMTPDataError),
    ],
)
async def test_a_scripted_421_comes_at_its_phase_then_the_table_rules(simulator, phase, raised):
    step = {"phase": phase, "action": "reply", "code": 421, "text": "4.3.2 going down"}
    await script(simulator, HOSTS[0], step)

    with pytest.raises((raised, *GONE)):
        await send(simulator)
    assert (await simulator.get("/api/messages"))["total"] == 0
    await send(simulator)


@pytest.mark.parametrize(
    "phase", ["banner", "ehlo", "mail", "rcpt", "data", "body", "dot", "after", "quit"]
)
async def test_a_scripted_close_leaves_what_was_stored_by_then(simulator, phase):
    await script(simulator, HOSTS[0], {"phase": phase, "action": "close"})

    with contextlib.suppress(*GONE, aiosmtplib.SMTPConnectError):
        await send(simulator)
    found = await simulator.get("/api/messages")
    assert found["total"] == (1 if phase in {"after", "quit"} else 0)
    (use,) = (await simulator.get(f"/scripts/{HOSTS[0]}"))["uses"]
    assert use["phase"] == phase


async def test_a_recipient_is_found_by_address_or_local_part_and_goes_after_the_host(simulator):
    refused = {"phase": "rcpt", "action": "reply", "code": 550, "text": "5.1.1 by address"}
    await script(simulator, "Who%2B1@sim.test", refused)
    await script(simulator, "who%2B2", refused | {"text": "5.1.1 by local part"})
    await script(simulator, "mx1.sim.test", refused | {"text": "5.1.1 by host"})

    told = []
    for to in ("who+1@sim.test", "who+1@sim.test", "WHO+2@sim.test", "who+3@sim.test"):
        try:
            await send(simulator, to)
        except aiosmtplib.SMTPRecipientsRefused as error:
            told.append(error.recipients[0].message)
    assert told == ["5.1.1 by host", "5.1.1 by address", "5.1.1 by local part"]


async def test_a_script_may_lose_the_reply_to_a_message_it_has_stored(simulator):
    await script(simulator, "x", {"phase": "dot", "action": "close", "store": True})

    with pytest.raises(GONE):
        await send(simulator)
    await send(simulator)
    (copy, *_) = (await simulator.get("/api/messages?to=x@sim.test"))["messages"]
    assert copy["copies"] == 2


async def test_a_tarpit_drips_its_reply_and_a_delay_precedes_the_usual_one(simulator):
    steps = [
        {"phase": "banner", "action": "tarpit", "seconds": 0.1},
        {"phase": "rcpt", "action": "delay", "seconds": 0.1},
        {"phase": "dot", "action": "tarpit", "code": 250, "text": "2.0.0 at last", "seconds": 0.1},
    ]
    await script(simulator, HOSTS[0], *steps)

    assert (await send(simulator))[1] == "2.0.0 at last"
    assert (await simulator.get("/api/messages"))["total"] == 1
    for step in ({"code": 250, "text": "me"}, {}):
        dripping = {"phase": "ehlo", "action": "tarpit", "seconds": 5} | step
        await script(simulator, HOSTS[0], dripping)
        reader, writer = await asyncio.open_connection(HOSTS[0], simulator.smtp_port)
        await reader.readline()
        writer.write(b"EHLO me\r\n")
        # One octet has come, the line has not.
        assert await reader.read(1) == b"2"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 0.05)
        writer.close()


async def test_a_raw_step_says_anything_and_an_ehlo_step_what_is_offered(simulator):
    await script(
        simulator,
        HOSTS[0],
        {"phase": "ehlo", "action": "reply", "code": 250, "text": ["me", "SIZE 7", "XODD"]},
        {"phase": "mail", "action": "raw", "text": "25"},
    )
    async with simulator.smtp(start_tls=False) as smtp:
        await smtp.ehlo()
        assert smtp.esmtp_extensions == {"size": "7", "xodd": ""}
        with pytest.raises(aiosmtplib.SMTPResponseException):
            await smtp.mail("a@b.test")


async def test_scripts_are_listed_replaced_and_removed(simulator):
    step = {"phase": "rcpt", "action": "reply", "code": 550}
    await script(simulator, "x", step)
    await script(simulator, "x", step | {"code": 551}, step)
    await script(simulator, "y", step)
    assert await simulator.get("/scripts") == {"scripts": ["x", "y"]}
    assert [each["code"] for each in (await simulator.get("/scripts/x"))["steps"]] == [551, 550]

    assert await simulator.delete("/scripts/x") == {"deleted": 1}
    await simulator.delete("/scripts/x", status=404)
    await simulator.get("/scripts/x", status=404)
    assert await simulator.delete("/scripts") == {"deleted": 1}
    await send(simulator, "y@sim.test")


@pytest.mark.parametrize(
    ("key", "document", "complaint"),
    [
        ("x", {}, "a list of 1 to 100 steps"),
        ("x", [], "a list of 1 to 100 steps"),
        ("x", [{}] * 101, "a list of 1 to 100 steps"),
        ("x", [7], "step 0"),
        ("x", [{"phase": "mail", "action": "close"}], "recipient's script"),
        ("x", [{"phase": "RCPT", "action": "close"}], "phase"),
        ("x", [{"phase": ["rcpt"], "action": "close"}], "phase"),
        ("x", [{"phase": "rcpt", "action": "sing"}], "action must be one of"),
        ("x", [{"phase": "rcpt", "action": {}}], "action must be one of"),
        ("x", [{"phase": "rcpt", "action": "reply"}], "needs code"),
        ("x", [{"phase": "rcpt", "action": "delay"}], "needs seconds"),
        ("x", [{"phase": "rcpt", "action": "delay", "seconds": 31}], "0 to 30"),
        ("x", [{"phase": "rcpt", "action": "delay", "seconds": "1"}], "0 to 30"),
        ("x", [{"phase": "rcpt", "action": "delay", "seconds": True}], "0 to 30"),
        ("x", [{"phase": "rcpt", "action": "delay", "seconds": 1, "code": 250}], "takes no code"),
        ("x", [{"phase": "rcpt", "action": "reply", "code": 354}], "2xx, 4xx or 5xx"),
        ("x", [{"phase": "rcpt", "action": "reply", "code": "550"}], "2xx, 4xx or 5xx"),
        ("x", [{"phase": "rcpt", "action": "reply", "code": 550, "text": "a\r\nb"}], "printable"),
        ("x", [{"phase": "rcpt", "action": "reply", "code": 550, "text": []}], "list of 1 to 100"),
        ("x", [{"phase": "rcpt", "action": "reply", "code": 550, "store": True}], "phase dot"),
        ("x", [{"phase": "rcpt", "action": "close", "times": 0}], "times"),
        ("x", [{"phase": "rcpt", "action": "close", "times": 1.0}], "times"),
        ("x", [{"phase": "rcpt", "action": "close", "time": 1}], "unknown key 'time'"),
        ("x", [{"phase": "rcpt", "action": "delay", "seconds": float("nan")}], "0 to 30"),
        ("x", [{"phase": "rcpt", "action": "raw", "text": "\ud800"}], "Unicode"),
        ("x", [{"phase": "dot", "action": "tarpit", "seconds": 1, "text": "a"}], "needs a code"),
        ("nowhere.sim.test", [{"phase": "mail", "action": "close"}], "no host"),
        ("x" * 321, [{"phase": "rcpt", "action": "close"}], "1 to 320"),
    ],
)
async def test_a_wrong_script_is_refused_with_its_reason_and_changes_nothing(
    simulator, key, document, complaint
):
    answer = await simulator.put(f"/scripts/{key}", json=document, status=400)

    assert complaint in answer["error"]
    assert await simulator.get("/scripts") == {"scripts": []}


async def test_a_script_that_is_no_json_is_refused(simulator):
    await simulator.put("/scripts/x", status=415, data=b"[]")
    json = {"Content-Type": "application/json"}
    for body in (b"[", b"\xff", b"[" * 100_000):
        await simulator.put("/scripts/x", status=400, data=body, headers=json)


@pytest.mark.parametrize(
    ("name", "code", "enhanced"),
    [
        ("defer-at-data", 451, "4.3.0"),
        ("reject-at-data", 554, "5.7.1"),
        ("close-at-data", 421, "4.3.2"),
        ("close-at-dot", 421, "4.3.2"),
    ],
)
async def test_a_recipient_may_spoil_data_or_the_dot(simulator, name, code, enhanced):
    for _ in range(2):
        async with simulator.smtp(start_tls=False) as smtp:
            with pytest.raises(aiosmtplib.SMTPDataError) as caught:
                await smtp.sendmail("a@b.test", [f"{name}@sim.test"], PLAIN)
            assert (caught.value.code, caught.value.message[:5]) == (code, enhanced)
            closed = pytest.raises(GONE) if code == 421 else contextlib.nullcontext()
            with closed:
                await smtp.noop()
    assert (await simulator.get("/api/messages"))["total"] == 0


async def test_a_throttled_recipient_is_deferred_for_the_rate(simulator):
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused, match=r"4\.7\.1 too much"):
        await send(simulator, "throttle@sim.test")


@pytest.mark.parametrize(
    ("name", "stored"), [("cut-in-data", 0), ("cut-at-dot", 0), ("cut-after-reply", 1)]
)
async def test_a_recipient_may_cut_late(simulator, name, stored):
    async with simulator.smtp(start_tls=False) as smtp:
        sending = smtp.sendmail("a@b.test", [f"{name}@sim.test"], PLAIN)
        if stored:
            await sending
        else:
            with pytest.raises(GONE):
                await sending
        with pytest.raises(GONE):
            await smtp.noop()
    assert (await simulator.get("/api/messages"))["total"] == stored


@pytest.mark.parametrize("name", ["slow-rcpt", "slow-data"])
async def test_a_recipient_may_be_slow_before_the_message(simulator, name):
    reader, writer = await asyncio.open_connection(HOSTS[0], simulator.smtp_port)
    writer.write(b"HELO me\r\nMAIL FROM:<a@b.test>\r\n")
    writer.write(f"RCPT TO:<{name}+20s@sim.test>\r\nDATA\r\n".encode())
    before = [b"220", b"250", b"250"] + [b"250"] * (name == "slow-data")
    assert [(await reader.readline())[:3] for _ in before] == before
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readline(), 0.2)
    writer.close()

    await send(simulator, f"{name}+0s@sim.test")
    await simulator.only_message(f"{name}+0s@sim.test")
