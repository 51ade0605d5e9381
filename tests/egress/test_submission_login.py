"""Who may send: logins of three kinds, addresses that need none, and brakes on guessing."""

import base64
import hmac
from dataclasses import replace

import pytest

from egress.core.smtp_limits import Limits
from egress.core.smtp_login import Digest, Password
from egress.submission.brakes import LoginBrakes
from mailroom.domain.message import Credential
from mailroom.fakes.memory import FixedClock
from tests.egress.submission_stand import (
    CALM,
    MESSAGE,
    SECRET,
    SERVER,
    Client,
    Stand,
    Walk,
    on_uvloop,
    plain,
    until,
    walks,
)

CRAM = Credential("c9", SERVER.id, "smtp", "cram", cram=True)
NOW = FixedClock().at
BY_ADDRESS = Credential("c7", SERVER.id, "smtp-ip", "office")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def cram_stand(limits: Limits = CALM) -> Stand:
    stand = Stand(limits, cram=True)
    stand.directory.add_cram("acme/shop", CRAM, SECRET)
    return stand


async def cram_response(client: Client, user: str, secret: str) -> str:
    asked = await client.say("AUTH CRAM-MD5")
    assert asked.startswith("334 ")
    digest = hmac.new(secret.encode(), base64.b64decode(asked[4:]), "md5").hexdigest()
    return await client.say(b64(f"{user} {digest}"))


async def test_login_with_a_name_first_or_on_the_line() -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        assert await client.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert await client.say(b64("anyone")) == "334 UGFzc3dvcmQ6"
        assert (await client.say(b64(SECRET))).startswith("235 2.7.0 ")
        client = await stand.secure_client()
        assert await client.say(f"AUTH LOGIN {b64('anyone')}") == "334 UGFzc3dvcmQ6"
        assert (await client.say(b64(SECRET))).startswith("235 2.7.0 ")
        assert (await client.deliver()).startswith("250 ")


async def test_a_login_can_be_called_off_at_each_step() -> None:
    async with cram_stand().listening() as stand:
        client = await stand.secure_client()
        for lines in (["AUTH LOGIN"], ["AUTH LOGIN", b64("a")], ["AUTH CRAM-MD5"], ["AUTH PLAIN"]):
            for line in lines:
                assert (await client.say(line)).startswith("334 ")
            assert (await client.say("*")).startswith("501 5.7.0 ")
        assert (await client.say("NOOP")).startswith("250 ")


async def test_cram_md5_is_offered_where_it_is_on_and_inside_tls_only() -> None:
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        assert "CRAM" not in await client.say("EHLO app.test")
        assert (await client.say("AUTH CRAM-MD5")).startswith("504 5.5.4 ")
    async with cram_stand().listening() as stand:
        assert "AUTH" not in await (await stand.client()).say("EHLO app.test")
        client = await stand.secure_client()
        assert "AUTH PLAIN LOGIN CRAM-MD5" in await client.say("EHLO app.test")


@pytest.mark.parametrize("user", ["acme/shop", "acme_shop", "ACME/Shop"])
async def test_cram_md5_opens_the_server_it_names(user: str) -> None:
    async with cram_stand().listening() as stand:
        client = await stand.secure_client()
        assert (await cram_response(client, user, SECRET)).startswith("235 2.7.0 ")
        assert (await client.deliver()).startswith("250 ")
        assert stand.stored[0].credential == "c9"


async def test_cram_md5_knows_its_own_credentials_only() -> None:
    async with cram_stand().listening() as stand:
        client = await stand.secure_client()
        assert (await cram_response(client, "acme/shop", "wrong")).startswith("535 5.7.8 ")
        assert (await cram_response(client, "other/shop", SECRET)).startswith("535 5.7.8 ")
        stand.directory._cram.clear()
        assert (await cram_response(client, "acme/shop", SECRET)).startswith("421 4.7.0 ")


async def test_a_cram_session_does_not_outlive_its_credential() -> None:
    async with cram_stand().listening() as stand:
        client = await stand.secure_client()
        await cram_response(client, "acme/shop", SECRET)
        assert (await client.deliver()).startswith("250 ")
        stand.directory._cram.clear()
        assert (await client.say("MAIL FROM:<>")).startswith("530 5.7.0 ")


async def test_a_known_address_needs_no_login_and_no_tls() -> None:
    stand = Stand()
    stand.directory.add_network(BY_ADDRESS, "127.0.0.0/24")
    async with stand.listening():
        client = await stand.client()
        await client.say("EHLO app.test")
        assert (await client.deliver()).startswith("250 ")
        assert (stand.stored[0].credential, stand.stored[0].received_with_ssl) == ("c7", False)
        assert b" with ESMTP id " in stand.raw()
        client = await stand.secure_client()
        assert (await client.deliver()).startswith("250 ")
        assert stand.stored[1].received_with_ssl
        assert b" with ESMTPS id " in stand.raw()


async def test_a_known_address_is_looked_up_for_every_message() -> None:
    stand = Stand()
    stand.directory.add_network(BY_ADDRESS, "127.0.0.1")
    async with stand.listening():
        client = await stand.client()
        await client.say("HELO app.test")
        assert (await client.deliver()).startswith("250 ")
        assert b" with SMTP id " in stand.raw()
        stand.directory._networks.clear()
        await client.say("RSET")
        assert (await client.say("MAIL FROM:<>")).startswith("530 5.7.0 ")


async def test_the_most_exact_network_decides_and_a_login_comes_first() -> None:
    stand = Stand()
    stand.directory.add_network(replace(BY_ADDRESS, id="wide"), "127.0.0.0/8")
    stand.directory.add_network(replace(BY_ADDRESS, id="exact"), "127.0.0.1")
    async with stand.listening():
        client = await stand.client()
        await client.say("EHLO app.test")
        await client.deliver()
        await (await stand.user()).deliver()
        assert [each.credential for each in stand.stored] == ["exact", "c1"]


async def test_an_unknown_address_hears_what_is_missing() -> None:
    async with Stand().listening() as stand:
        client = await stand.client()
        await client.say("EHLO app.test")
        assert await client.say("MAIL FROM:<>") == "530 5.7.0 Must issue a STARTTLS command first"
        client = await stand.secure_client()
        assert await client.say("MAIL FROM:<>") == "530 5.7.0 Authentication required"
        assert (await client.say("DATA")).startswith("530 5.7.0 ")


async def test_a_directory_out_of_reach_refuses_nobody_for_good() -> None:
    stand = Stand()

    def unreachable(address: str) -> None:
        raise ConnectionError("no directory")

    stand.directory.address_credential = unreachable  # type: ignore[assignment]
    async with stand.listening():
        client = await stand.client()
        await client.say("EHLO app.test")
        assert (await client.say("MAIL FROM:<>")).startswith("451 4.3.0 ")


async def test_whoever_guesses_too_often_is_not_even_looked_up() -> None:
    limits = replace(CALM, client_failures=4, login_failures=2)
    async with Stand(limits).listening() as stand:
        for _ in range(2):
            client = await stand.secure_client()
            said = [(await client.say(f"AUTH PLAIN {plain('wrong')}"))[:3] for _ in range(2)]
            assert said == ["535", "421"]
        client = await stand.secure_client()
        stand.directory._credentials.clear()  # so that a look-up would fail
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("421 4.7.0 ")
        assert await client.is_hung_up_on()


async def test_a_user_name_is_braked_except_where_it_has_been_before() -> None:
    async with cram_stand(replace(CALM, user_failures=2, login_failures=9)).listening() as stand:
        client = await stand.secure_client()
        for _ in range(2):
            assert (await cram_response(client, "acme/shop", "wrong")).startswith("535 ")
        assert (await cram_response(client, "ACME_shop", SECRET)).startswith("454 4.7.0 ")
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")


def test_brakes_know_clients_by_site_and_users_by_name() -> None:
    now = [0.0]
    limits = Limits(client_failures=2, user_failures=3, failure_memory=60, braked_names=10)
    brakes = LoginBrakes(limits, lambda: now[0])
    password, digest = Password("x"), Digest("acme/shop", "<1@a>", "0" * 32)
    brakes.failed("2001:db8::1", password)
    brakes.failed("2001:db8::2", password)
    assert brakes.refusal("2001:db8::3", password) is not None
    assert brakes.refusal("2001:db8:0:1::3", password) is None
    brakes.succeeded("192.0.2.1", digest)
    for last in range(3):
        brakes.failed(f"198.51.100.{last}", digest)
    assert brakes.refusal("203.0.113.1", digest) is not None
    assert brakes.refusal("203.0.113.1", password) is None
    assert brakes.refusal("192.0.2.1", digest) is None
    now[0] = 61.0
    assert brakes.refusal("203.0.113.1", digest) is None
    for number in range(50):
        brakes.succeeded(f"198.51.100.{number}", digest)
    assert len(brakes._welcome) == 10


async def test_failures_are_in_the_sessions_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "egress.submission")
    async with Stand().listening() as stand:
        client = await stand.secure_client()
        await client.say(f"AUTH PLAIN {plain('wrong')}")
        await client.say("QUIT")
        await until(lambda: not stand.office.sessions)
    (line,) = [vars(each) for each in caplog.records if each.message == "session"]
    assert line["failed_logins"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires_at": NOW}, "expired"),
        ({"networks": ("192.0.2.0/24",)}, "address"),
        ({"scopes": frozenset({"domains:read"})}, "scope"),
    ],
)
async def test_a_credential_that_may_not_be_used_is_like_a_wrong_one(
    changes: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    stand = Stand()
    credential = replace(Credential("c1", SERVER.id, "smtp", "main"), **changes)  # type: ignore[arg-type]
    stand.directory.add_credential(credential, SECRET)
    async with stand.listening():
        client = await stand.secure_client()
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("535 5.7.8 ")
    (line,) = [record for record in caplog.records if record.message == "credential refused"]
    assert (vars(line)["credential"], vars(line)["reason"]) == ("c1", reason)


async def test_a_credential_that_may_be_used_from_here_is_noted_as_used() -> None:
    stand = Stand()
    near = replace(Credential("c1", SERVER.id, "smtp", "main"), networks=("127.0.0.0/8",))
    stand.directory.add_credential(near, SECRET)
    async with stand.listening():
        client = await stand.secure_client()
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
    assert stand.last_use.last(["c1", "c2"]) == {"c1": NOW}


async def test_a_session_does_not_outlive_the_end_of_its_credential() -> None:
    stand = Stand()
    short = replace(Credential("c1", SERVER.id, "smtp", "main"), expires_at=NOW + 60)
    stand.directory.add_credential(short, SECRET)
    async with stand.listening():
        client = await stand.user()
        assert (await client.deliver()).startswith("250 ")
        stand.clock.at = NOW + 60
        assert (await client.say("MAIL FROM:<a@acme.test>")).startswith("530 ")


async def test_what_a_credential_holds_is_stored_as_held() -> None:
    async with Stand().listening() as stand:
        held = Credential("c1", SERVER.id, "smtp", "main", hold=True)
        stand.directory.add_credential(held, SECRET)
        await (await stand.user()).deliver(MESSAGE)
        assert stand.stored[0].hold


WALKS = walks(globals())


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.__name__)
def test_all_of_it_holds_on_uvloop_too(walk: Walk) -> None:
    on_uvloop(walk)
