"""A program that tries CRAM-MD5 first and its good password then is no guesser."""

import base64
from dataclasses import replace

import pytest

from tests.egress.submission_stand import CALM, SECRET, Client, Stand, plain, until

LIMITS = replace(CALM, client_failures=4)


async def wrong_digest(client: Client) -> str:
    assert (await client.say("AUTH CRAM-MD5")).startswith("334 ")
    return await client.say(base64.b64encode(b"acme/shop " + b"0" * 32).decode())


async def test_a_password_after_a_digest_is_welcome_any_number_of_times() -> None:
    async with Stand(LIMITS, cram=True).listening() as stand:
        for _ in range(10):
            client = await stand.secure_client()
            assert (await wrong_digest(client)).startswith("535 ")
            assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
            client.hang_up()


@pytest.mark.parametrize("then", ["gone", "wrong password", "wrong digest"])
async def test_digests_that_no_good_login_follows_are_counted(then: str) -> None:
    async with Stand(LIMITS, cram=True).listening() as stand:
        for _ in range(4 if then == "gone" else 2):
            client = await stand.secure_client()
            assert (await wrong_digest(client)).startswith("535 ")
            if then == "wrong password":
                await client.say(f"AUTH PLAIN {plain('wrong')}")
            elif then == "wrong digest":
                await wrong_digest(client)
            client.hang_up()
        await until(lambda: not stand.office.sessions)
        client = await stand.secure_client()
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("421 4.7.0 ")


async def test_the_user_name_is_counted_at_once() -> None:
    async with Stand(replace(LIMITS, user_failures=2), cram=True).listening() as stand:
        for _ in range(2):
            client = await stand.secure_client()
            assert (await wrong_digest(client)).startswith("535 ")
            assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
        client = await stand.secure_client()
        assert (await wrong_digest(client)).startswith("454 4.7.0 ")
