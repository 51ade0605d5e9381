"""One message over the real parts, from the queue to the verdict, against real sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from egress.core.mx import MxAnswer, refused
from egress.core.tls_policy import HostPolicy
from egress.journal import Journal
from egress.sender.copies import Copy
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.settings import TlsUse
from mailroom.domain.transport.sts import StsMode, StsPolicy
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening, self_signed
from tests.egress.sessions import TLS_OFFER
from tests.egress.tls_peers import Authority, an_authority
from tests.support.desk import until
from tests.support.socket_stand import COPY, SocketStand, sending, to, with_path

DEAD = {"MAIL": HANG_UP, "RSET": HANG_UP}


@pytest.fixture
async def sender(tmp_path: Path) -> AsyncIterator[SocketStand]:
    async with sending(tmp_path) as stand:
        yield stand


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return an_authority(tmp_path_factory.mktemp("authority"))


def enforced(domain: str) -> HostPolicy:
    return HostPolicy(domain, StsPolicy(StsMode.ENFORCE, 86_400, ("*.test",)))


async def test_a_copy_is_taken_and_the_way_named(sender: SocketStand) -> None:
    async with listening(ScriptedMx()) as mx:
        outcome = await sender.sent(to(mx))
    seen = outcome.event.attempt
    assert seen is not None
    assert (seen.code, seen.phase, seen.mx, seen.tls) == (250, Phase.DOT, "mx0.test", False)
    assert (seen.address, seen.site) == ("host", f"mx0.test:{mx.port}")
    assert mx.messages == [COPY.raw + b".\r\n"]
    assert outcome.row.state is State.SENT


async def test_tls_is_told(sender: SocketStand) -> None:
    async with listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())) as mx:
        outcome = await sender.sent(to(mx))
    seen = outcome.event.attempt
    assert seen is not None
    assert (seen.code, seen.tls, seen.tls_version) == (250, True, "TLSv1.3")
    assert seen.tls_cipher


class DotJournal(Journal):
    """Knows when it was told of a final dot, and what the host had by then."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.mx: ScriptedMx | None = None
        self.dots: list[int] = []

    async def dot(self, claim: str) -> None:
        await super().dot(claim)
        assert self.mx is not None
        self.dots.append(len(self.mx.messages))


async def test_the_dot_is_in_the_journal_before_it_is_on_the_wire(tmp_path: Path) -> None:
    async with listening(ScriptedMx()) as mx, sending(tmp_path, journal=DotJournal) as sender:
        journal = sender.life.journal
        assert isinstance(journal, DotJournal)
        journal.mx = mx
        for _ in range(2):
            assert (await sender.sent(to(mx))).code == 250
    assert journal.dots == [0, 1]
    assert len(mx.messages) == 2


async def test_a_refusal_comes_before_any_dot(tmp_path: Path) -> None:
    refusing = ScriptedMx({"RCPT": b"550 5.1.1 who?\r\n"})
    async with listening(refusing) as mx, sending(tmp_path, journal=DotJournal) as sender:
        outcome = await sender.sent(to(mx))
        assert isinstance(sender.life.journal, DotJournal)
        assert sender.life.journal.dots == []
    assert (outcome.code, outcome.phase) == (550, Phase.RCPT)


@pytest.mark.parametrize(
    ("answer", "code", "phase", "type_"),
    [
        (refused(556, "5.1.10 null MX"), 556, Phase.DNS, EventType.BOUNCED),
        (MxAnswer(), 0, Phase.CONNECT, EventType.DEFERRED),
    ],
)
async def test_no_host_is_an_answer_too(
    sender: SocketStand, answer: MxAnswer, code: int, phase: Phase, type_: EventType
) -> None:
    outcome = await sender.sent(answer)
    assert (outcome.code, outcome.phase, outcome.mx) == (code, phase, "")
    assert outcome.type is type_


async def test_a_host_that_cannot_be_reached_is_named(sender: SocketStand) -> None:
    async with listening(ScriptedMx()) as mx:
        target = mx.target("gone.test")
    outcome = await sender.sent(MxAnswer((target,)))
    assert (outcome.code, outcome.phase) == (0, Phase.CONNECT)
    assert outcome.mx == "gone.test"
    assert outcome.event.attempt is not None
    assert outcome.event.attempt.address == "host"


async def replaced(sender: SocketStand, mx: ScriptedMx) -> int:
    """Send over a kept session that ends at its next command; a fresh one works."""
    mx.replies |= DEAD
    mx.ended.clear()
    waiting = asyncio.create_task(sender.sent(to(mx)))
    await mx.ended.wait()
    mx.replies.clear()
    return (await waiting).code


async def test_a_kept_session_that_died_is_replaced_once_and_unseen(tmp_path: Path) -> None:
    async with listening(ScriptedMx()) as mx, sending(tmp_path, journal=DotJournal) as sender:
        journal = sender.life.journal
        assert isinstance(journal, DotJournal)
        journal.mx = mx
        await sender.sent(to(mx))
        assert await replaced(sender, mx) == 250
        assert journal.dots == [0, 1]
        assert {row.attempts for row in sender.world.book.rows.values()} == {1}
    assert (mx.connections, len(mx.messages)) == (2, 2)


async def test_a_dead_session_gives_its_place_at_the_host_back_first(tmp_path: Path) -> None:
    settings = with_path(host_connections=1)
    async with listening(ScriptedMx()) as mx, sending(tmp_path, settings=settings) as sender:
        await sender.sent(to(mx))
        for turn in (2, 3):
            assert await replaced(sender, mx) == 250
            assert mx.connections == turn


async def test_where_one_kept_session_was_dead_the_others_are_not_tried(
    sender: SocketStand,
) -> None:
    async with listening(ScriptedMx()) as mx:
        await asyncio.gather(sender.sent(to(mx)), sender.sent(to(mx)))
        assert (mx.connections, sender.idle) == (2, 2)
        assert await replaced(sender, mx) == 250
    assert mx.connections == 3


async def test_a_fresh_session_that_dies_is_not_tried_a_third_time(sender: SocketStand) -> None:
    async with listening(ScriptedMx()) as mx:
        await sender.sent(to(mx))
        mx.replies |= DEAD
        outcome = await sender.sent(to(mx))
    assert (outcome.code, outcome.phase, outcome.type) == (0, Phase.MAIL, EventType.DEFERRED)
    assert mx.connections == 2


async def test_a_dead_session_whose_host_lets_nobody_in_any_more_names_it(
    sender: SocketStand,
) -> None:
    async with listening(ScriptedMx()) as mx:
        await sender.sent(to(mx))
        mx.replies |= DEAD | {"banner": b"554 5.7.1 no more\r\n"}
        outcome = await sender.sent(to(mx))
    assert (outcome.code, outcome.phase, outcome.mx) == (554, Phase.BANNER, "mx0.test")
    assert sender.idle == 0


async def test_a_reply_lost_after_the_dot_is_never_followed_by_a_second_copy(
    sender: SocketStand,
) -> None:
    async with listening(ScriptedMx()) as mx:
        await sender.sent(to(mx))
        mx.replies["dot"] = HANG_UP
        outcome = await sender.sent(to(mx))
    assert (outcome.code, outcome.phase, outcome.type) == (0, Phase.DOT, EventType.UNCERTAIN)
    assert (mx.connections, len(mx.messages)) == (1, 2)


@pytest.mark.parametrize("address", ["ann>\r\nRSET\r\n@example.org", "a b@example.org", "@"])
async def test_an_address_that_fits_in_no_command_is_refused(
    sender: SocketStand, address: str
) -> None:
    async with listening(ScriptedMx()) as mx:
        outcome = await sender.sent(to(mx), recipient=address)
    assert (outcome.code, outcome.phase) == (553, Phase.RCPT)
    assert "RCPT" not in mx.verbs()
    assert not mx.messages


class BrokenJournal(Journal):
    """Takes no final dot."""

    async def dot(self, claim: str) -> None:
        raise ValueError(f"write to closed file for {claim}")


async def test_trouble_before_the_dot_goes_back_and_nothing_is_sent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a journal raises is never taken for a bad address either."""
    async with listening(ScriptedMx()) as mx, sending(tmp_path, journal=BrokenJournal) as sender:
        assert await sender.send(to(mx)) is None
        await mx.quiet()
        row = sender.world.row()
    assert (row.state, row.attempts, row.claim) == (State.QUEUED, 0, None)
    assert mx.messages == []
    assert "attempt given up" in caplog.messages


async def test_a_target_that_refuses_to_talk_is_passed_over(sender: SocketStand) -> None:
    busy = ScriptedMx({"banner": b"421 4.3.2 busy\r\n"})
    async with listening(busy), listening(ScriptedMx()) as second:
        outcome = await sender.sent(to(busy, second))
    assert (outcome.code, outcome.mx) == (250, "mx1.test")


async def test_a_message_with_a_bare_line_feed_is_refused_as_that(sender: SocketStand) -> None:
    async with listening(ScriptedMx()) as mx:
        outcome = await sender.sent(to(mx), copy=Copy("b@rp.test", b"A: b\r\n\r\nx\n"))
    assert outcome.code == 554
    assert "5.6.0" in outcome.reply
    assert "MAIL" not in mx.verbs()


async def test_a_copy_says_that_it_needs_smtputf8(sender: SocketStand) -> None:
    copy = Copy("b@rp.test", "Subject: gr\u00fcn\r\n\r\nx\r\n".encode(), utf8=True)
    async with listening(ScriptedMx()) as mx:
        outcome = await sender.sent(to(mx), copy=copy)
    assert outcome.code == 553
    assert "5.6.7" in outcome.reply
    reply = SmtpReply(outcome.code, "5.6.7", Phase.RCPT)
    assert classify_reply(reply).verdict is Verdict.BOUNCED


async def test_mail_whose_session_is_not_safe_enough_gets_one_of_its_own(
    tmp_path: Path, authority: Authority
) -> None:
    host = authority.host("mx0.test")
    plain_first = ScriptedMx()
    async with (
        listening(plain_first) as mx,
        sending(tmp_path, authorities=authority.file) as sender,
    ):
        await sender.sent(to(mx))
        sender.settings = with_path(tls=TlsUse.VERIFIED)  # published meanwhile
        sender.engine.reconsider(sender.now())
        mx.replies["EHLO"], mx.tls = TLS_OFFER, host
        outcome = await sender.sent(to(mx))
        assert sender.idle == 1
        again = await sender.sent(to(mx))
    assert (outcome.code, outcome.tls, outcome.row.attempts) == (250, True, 1)
    assert (again.code, again.tls) == (250, True)
    assert (mx.connections, mx.over_tls) == (2, 1)


async def test_mail_for_which_no_session_is_safe_enough_waits(tmp_path: Path) -> None:
    async with listening(ScriptedMx()) as mx, sending(tmp_path) as sender:
        await sender.sent(to(mx))
        sender.settings = with_path(tls=TlsUse.REQUIRED)
        sender.engine.reconsider(sender.now())
        outcome = await sender.sent(to(mx))
        await mx.quiet()
        assert not sender.engine.connections
    assert (outcome.code, outcome.tls, outcome.type) == (451, False, EventType.DEFERRED)
    assert "4.7.5" in outcome.reply
    assert len(mx.messages) == 1


async def test_a_session_in_use_counts_for_the_domain_whose_mail_it_carries(
    sender: SocketStand,
) -> None:
    async with listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())) as mx:
        for domain in ("one.example", "two.example", "one.example"):
            assert (await sender.sent(to(mx), recipient=f"ann@{domain}")).code == 250
        assert mx.connections == 1
    assert sender.watch.told == [
        ("one.example", "no-policy-found", "ok", ""),
        ("two.example", "no-policy-found", "ok", ""),
    ]


async def test_mail_that_waits_together_counts_each_for_its_own_domain(tmp_path: Path) -> None:
    settings = with_path(connections=1, start_connections=1)
    domains = [f"d{number}.example" for number in range(4)]
    async with (
        listening(ScriptedMx({"EHLO": TLS_OFFER}, tls=self_signed())) as mx,
        sending(tmp_path, settings=settings) as sender,
    ):
        await asyncio.gather(*(sender.sent(to(mx), recipient=f"a@{each}") for each in domains))
        assert mx.connections == 1
    assert sorted(told[0] for told in sender.watch.told) == domains


async def test_mail_of_a_domain_that_demands_verified_tls_never_shares_a_loose_session(
    tmp_path: Path, authority: Authority
) -> None:
    mx = ScriptedMx({"EHLO": TLS_OFFER}, tls=authority.host("mx0.test"))
    async with listening(mx), sending(tmp_path, authorities=authority.file) as sender:
        sender.policies["strict.example"] = enforced("strict.example")
        loose = await sender.sent(to(mx), recipient="ann@loose.example")
        strict = await sender.sent(to(mx), recipient="ann@strict.example")
    assert (loose.code, strict.code, mx.connections) == (250, 250, 2)
    assert ("strict.example", "sts", "ok", "") in sender.watch.told


async def test_a_full_host_makes_mail_wait_and_costs_no_attempt(tmp_path: Path) -> None:
    """Two sites behind one address: what one has open is taken from the other."""
    settings = with_path(host_connections=1, idle=5.0)
    async with listening(ScriptedMx()) as mx, sending(tmp_path, settings=settings) as sender:
        await sender.sent(MxAnswer((mx.target("mx.one.test"),)), recipient="a@one.example")
        waiting = asyncio.create_task(
            sender.sent(MxAnswer((mx.target("mx.two.test"),)), recipient="a@two.example")
        )
        await until(lambda: sender.engine.waiting == 1 and len(sender.engine.connections) == 1)
        sender.pass_time(2)  # it is looked again, and there is no room yet
        await sender.quiet()
        assert mx.connections == 1
        sender.pass_time(10)  # the first is idle for too long, and goes
        outcome = await waiting
    assert (outcome.code, outcome.row.attempts, mx.connections) == (250, 1, 2)
