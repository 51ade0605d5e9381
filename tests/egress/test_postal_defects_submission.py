"""Defects of Postal's SMTP server (3.3.6) that must not be here, each by its number."""

import pytest

from mailroom.domain.message import Credential
from tests.egress.submission_stand import MESSAGE, SECRET, SERVER, Stand, plain


async def test_defect_7_data_without_an_accepted_recipient_is_refused() -> None:
    """Postal may answer 250 and store nothing when a pipelining client ignores the RCPT errors."""
    async with Stand().listening() as stand:
        user = await stand.user()
        begin = b"MAIL FROM:<shop@acme.test>\r\nRCPT TO:<nobody>\r\nRCPT TO:<>\r\n"
        user.send(begin + b"DATA\r\nRSET\r\n" + begin + b"BDAT %d LAST\r\n" % len(MESSAGE))
        user.send(MESSAGE + b"NOOP\r\n")
        codes = [each[:3] for each in await user.replies(10)]
        assert codes == ["250", "501", "501", "554", "250", "250", "501", "501", "503", "250"]
        assert stand.stored == []


@pytest.mark.parametrize("working", [0, 1, 2])
async def test_defect_8_a_failure_after_some_recipients_accepts_none(working: int) -> None:
    """Postal stores one copy for each recipient, so a client that tries again sends duplicates."""
    stand = Stand()
    reserve, watch, commit = stand.ledger.reserve, stand.ledger.watch, stand.ledger.commit
    steps = [watch, reserve, commit]

    def fail(*_: object) -> None:
        raise ConnectionError("the table is gone")

    for name in ("watch", "reserve", "commit")[working:]:
        setattr(stand.ledger, name, fail)
    everybody = [f"u{number}@example.org" for number in range(20)]
    async with stand.listening():
        user = await stand.user()
        assert (await user.deliver(MESSAGE, *everybody)).startswith("451 4.3.0 ")
        assert stand.stored == []
        for name, step in zip(("watch", "reserve", "commit"), steps, strict=True):
            setattr(stand.ledger, name, step)
        assert (await user.deliver(MESSAGE, *everybody)).startswith("250 2.0.0 ")
        assert [each.recipients for each in stand.stored] == [20]


async def test_defect_17_starttls_starts_over_and_drops_what_came_in_clear() -> None:
    """Postal keeps greeting, login and transaction, and runs commands sent behind STARTTLS."""
    stand = Stand()
    stand.directory.add_network(Credential("c7", SERVER.id, "smtp-ip", "office"), "127.0.0.1")
    async with stand.listening():
        client = await stand.client()
        client.send(b"EHLO evil.test\r\nMAIL FROM:<evil@acme.test>\r\nRCPT TO:<a@b.test>\r\n")
        assert [each[:3] for each in await client.replies(3)] == ["250", "250", "250"]
        client.send(b"STARTTLS\r\nRCPT TO:<injected@b.test>\r\nDATA\r\n")
        assert (await client.reply()).startswith("220 ")
        await client.handshake()
        assert (await client.say("DATA")).startswith("503 5.5.1 ")
        assert (await client.say("MAIL FROM:<>")) == "503 5.5.1 Send EHLO first"
        await client.say("EHLO app.test")
        assert (await client.deliver(MESSAGE, "ann@example.org")).startswith("250 ")
        assert [str(each) for each in stand.parcels[0].recipients] == ["ann@example.org"]


@pytest.mark.parametrize(
    "response", ["", "=", " ", "%%%", "bm90aGluZw==", "dXNlciA=", "IA==", "/////w==", "A" * 11_000]
)
async def test_defect_22_a_malformed_cram_response_is_an_answer_not_a_crash(response: str) -> None:
    """Postal raises inside the handler, and the connection is gone."""
    async with Stand(cram=True).listening() as stand:
        client = await stand.secure_client()
        assert (await client.say("AUTH CRAM-MD5")).startswith("334 ")
        assert (await client.say(response)).startswith("501 5.5.2 ")
        assert (await client.say(f"AUTH PLAIN {plain(SECRET)}")).startswith("235 ")
