"""SMTPUTF8 and DSN from the wire to the store; privacy, loops, and who may be in From."""

import json
from dataclasses import replace

import pytest

from mailroom.domain.dsn_request import RecipientRequest, load
from tests.egress.submission_stand import MESSAGE, SERVER, Stand


async def test_addresses_in_utf8_are_stored_and_marked() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.say("MAIL FROM:<jürgen@acme.test> SMTPUTF8")).startswith("250 ")
        assert (await user.say("RCPT TO:<用户@例子.测试>")).startswith("250 ")
        await user.say("DATA")
        user.send(MESSAGE + b".\r\n")
        assert (await user.reply()).startswith("250 ")
        assert (stand.stored[0].utf8, stand.stored[0].mail_from) == (True, "jürgen@acme.test")
        assert str(stand.parcels[0].recipients[0]) == "用户@例子.测试"
        assert b" with UTF8SMTPSA id " in stand.raw()


async def test_smtputf8_said_without_need_is_no_condition() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        for content in (MESSAGE, MESSAGE.replace(b"hi", "hé".encode())):
            await user.say("MAIL FROM:<shop@acme.test> SMTPUTF8")
            await user.say("RCPT TO:<ann@example.org>")
            await user.say("DATA")
            user.send(content + b".\r\n")
            assert (await user.reply()).startswith("250 ")
        assert [each.utf8 for each in stand.stored] == [False, True]


async def test_what_is_asked_of_reports_is_stored_with_the_message() -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        await user.say("MAIL FROM:<shop@acme.test> RET=HDRS ENVID=QQ314159")
        await user.say("RCPT TO:<a@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@old.test")
        await user.say("RCPT TO:<b@example.org>")
        await user.say("RCPT TO:<c@example.org> NOTIFY=NEVER")
        await user.say("DATA")
        user.send(MESSAGE + b".\r\n")
        assert (await user.reply()).startswith("250 ")
        await user.deliver()
        first, second = stand.stored
        assert json.loads(first.dsn)["envid"] == "QQ314159"
        asked = load(first.dsn)
        assert asked.returned == "HDRS"
        assert asked.of(0) == RecipientRequest(("SUCCESS", "FAILURE"), "rfc822;A@old.test")
        assert (asked.of(1), asked.of(2).notify) == (RecipientRequest(), ("NEVER",))
        assert second.dsn == ""


async def test_a_private_servers_mail_says_nothing_of_its_client() -> None:
    async with Stand().listening() as stand:
        stand.directory.add_server(replace(SERVER, privacy=True))
        await (await stand.user()).deliver()
        assert stand.raw().startswith(b"Received: by smtp.mailroom.test with ESMTPSA id ")
        assert b"127.0.0.1" not in stand.raw()
        assert b"app.test" not in stand.raw()


@pytest.mark.parametrize(("passes", "said"), [(3, "250 2.0.0"), (4, "550 5.4.6")])
async def test_mail_that_comes_round_and_round_is_refused(passes: int, said: str) -> None:
    once = b"Received: from x by SMTP.mailroom.test (us)\r\n\twith ESMTP; date\r\n"
    others = b"Received: by smtp.mailroom.test.evil.test; date\r\n" * 9
    async with Stand().listening() as stand:
        user = await stand.user()
        assert (await user.deliver(once * passes + others + MESSAGE)).startswith(said)


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (b"From: any@else.test\r\nSender: shop@acme.test\r\n", True),
        (b"From: any@else.test\r\nSender: shop@other.test\r\n", False),
        (b"From: any@else.test\r\nSender: shop@acme.test\r\nSender: x@other.test\r\n", False),
        (b"From: any@else.test\r\n", False),
        (b"Sender: shop@acme.test\r\n", False),
        (b"From: <broken\r\nSender: shop@acme.test\r\n", False),
    ],
)
async def test_the_sender_may_vouch_where_the_server_allows_it(
    header: bytes, allowed: bool
) -> None:
    async with Stand().listening() as stand:
        user = await stand.user()
        content = header + b"\r\nhello\r\n"
        assert (await user.deliver(content)).startswith("530 5.7.1 ")
        stand.directory.add_server(replace(SERVER, allow_sender=True))
        assert (await user.deliver(content)).startswith("250 " if allowed else "530 5.7.1 ")
        if allowed:
            assert stand.stored[0].sign_domain == "acme.test"
