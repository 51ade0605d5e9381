"""One exchange over pooled sessions, against real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from egress.connections import ConnectionPool, PoolSettings, Source
from egress.core.mx import MxAnswer, MxTarget, refused
from egress.sender.copies import Copy
from egress.sender.exchange import Exchange, Exchanged
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.reply import Phase, SmtpReply
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening, self_signed

COPY = Copy("b+x@rp.test", b"From: a@demo.example\r\n\r\nx\r\n")


class Sender:
    """Sends copies through one pool and counts the dots."""

    def __init__(self) -> None:
        self.pool = ConnectionPool(PoolSettings(), clock=lambda: 1_000.0)
        self.dots: list[str] = []
        self._exchange = Exchange(self.pool, Source("out.example.com", "127.0.0.1"))

    async def __call__(
        self, answer: MxAnswer, *, copy: Copy = COPY, to: str = "ann@example.org"
    ) -> Exchanged:
        async def before() -> None:
            self.dots.append("before")

        return await self._exchange(
            answer, copy, to, before_dot=before, after_dot=lambda: self.dots.append("after")
        )


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    sender = Sender()
    yield sender
    await sender.pool.close()


def to(*mxs: ScriptedMx) -> MxAnswer:
    return MxAnswer(tuple(mx.target(f"mx{n}.test") for n, mx in enumerate(mxs)))


async def test_a_copy_is_taken_and_the_host_named(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        exchanged = await sender(to(mx))
        await sender.pool.close()
    assert exchanged == Exchanged(SmtpReply(250, "2.0.0 ok", Phase.DOT), "mx0.test")
    assert sender.dots == ["before", "after"]
    assert mx.messages == [COPY.raw + b".\r\n"]


async def test_tls_is_told(sender: Sender) -> None:
    offer = {"EHLO": b"250-mx\r\n250 STARTTLS\r\n"}
    async with listening(ScriptedMx(offer, tls=self_signed())) as mx:
        exchanged = await sender(to(mx))
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.tls) == (250, True)


async def test_a_refusal_comes_before_any_dot(sender: Sender) -> None:
    async with listening(ScriptedMx({"RCPT": b"550 5.1.1 who?\r\n"})) as mx:
        exchanged = await sender(to(mx))
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.phase) == (550, Phase.RCPT)
    assert sender.dots == []


@pytest.mark.parametrize(
    ("answer", "code", "phase"),
    [
        (refused(556, "5.1.10 null MX"), 556, Phase.DNS),
        (MxAnswer(), 0, Phase.CONNECT),
    ],
)
async def test_no_host_is_an_answer_too(
    sender: Sender, answer: MxAnswer, code: int, phase: Phase
) -> None:
    exchanged = await sender(answer)
    assert (exchanged.reply.code, exchanged.reply.phase, exchanged.mx) == (code, phase, "")


async def test_a_host_that_cannot_be_reached_is_named(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        target = mx.target("gone.test")
    exchanged = await sender(MxAnswer((target,)))
    assert (exchanged.reply.code, exchanged.reply.phase) == (0, Phase.CONNECT)
    assert exchanged.mx == "gone.test"


async def test_a_kept_session_that_died_is_replaced_once_and_unseen(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        answer = to(mx)
        await sender(answer)
        mx.replies["MAIL"] = HANG_UP  # the kept session ends at its next command ...
        mx.replies["RSET"] = HANG_UP
        sending = asyncio.create_task(sender(answer))
        await mx.ended.wait()
        del mx.replies["MAIL"]  # ... and the fresh one works
        exchanged = await sending
        await sender.pool.close()
    assert exchanged.reply.code == 250
    assert mx.connections == 2
    assert len(mx.messages) == 2
    assert sender.dots == ["before", "after"] * 2


async def test_where_one_kept_session_was_dead_the_others_are_not_tried(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        answer = to(mx)
        await asyncio.gather(sender(answer), sender(answer))
        assert (mx.connections, sender.pool.idle) == (2, 2)
        mx.replies |= {"MAIL": HANG_UP, "RSET": HANG_UP}
        sending = asyncio.create_task(sender(answer))
        await mx.ended.wait()
        mx.replies.clear()
        exchanged = await sending
        await sender.pool.close()
    assert (exchanged.reply.code, mx.connections) == (250, 3)


async def test_a_fresh_session_that_dies_is_not_tried_a_third_time(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        answer = to(mx)
        await sender(answer)
        mx.replies |= {"MAIL": HANG_UP, "RSET": HANG_UP}
        exchanged = await sender(answer)
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.phase) == (0, Phase.MAIL)
    assert mx.connections == 2


async def test_a_reply_lost_after_the_dot_is_never_followed_by_a_second_copy(
    sender: Sender,
) -> None:
    async with listening(ScriptedMx()) as mx:
        answer = to(mx)
        await sender(answer)
        mx.replies["dot"] = HANG_UP
        exchanged = await sender(answer)
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.phase) == (0, Phase.DOT)
    assert len(mx.messages) == 2


@pytest.mark.parametrize("address", ["ann>\r\nRSET\r\n@example.org", "a b@example.org", "@"])
async def test_an_address_that_fits_in_no_command_is_refused(sender: Sender, address: str) -> None:
    async with listening(ScriptedMx()) as mx:
        exchanged = await sender(to(mx), to=address)
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.phase) == (553, Phase.RCPT)
    assert "RCPT" not in mx.verbs()
    assert sender.dots == []


async def test_trouble_before_the_dot_goes_on_and_nothing_is_sent() -> None:
    pool = ConnectionPool(PoolSettings(), clock=lambda: 1_000.0)
    exchange = Exchange(pool, Source("out.example.com", "127.0.0.1"))

    async def broken() -> None:
        raise OSError("the disk is full")

    async with listening(ScriptedMx()) as mx:
        with pytest.raises(OSError, match="disk is full"):
            await exchange(
                to(mx), COPY, "ann@example.org", before_dot=broken, after_dot=lambda: None
            )
        await mx.ended.wait()
        await pool.close()
    assert mx.messages == []


async def test_a_target_that_refuses_to_talk_is_passed_over(sender: Sender) -> None:
    busy = ScriptedMx({"banner": b"421 4.3.2 busy\r\n"})
    async with listening(busy), listening(ScriptedMx()) as second:
        answer = MxAnswer((busy.target("mx0.test"), MxTarget("mx1.test", "127.0.0.1", second.port)))
        exchanged = await sender(answer)
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.mx) == (250, "mx1.test")


async def test_a_message_with_a_bare_line_feed_is_refused_as_that(sender: Sender) -> None:
    async with listening(ScriptedMx()) as mx:
        exchanged = await sender(to(mx), copy=Copy("b@rp.test", b"A: b\r\n\r\nx\n"))
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.enhanced_text) == (554, "5.6.0")
    assert "MAIL" not in mx.verbs()


async def test_what_the_journal_raises_is_never_taken_for_a_bad_address() -> None:
    pool = ConnectionPool(PoolSettings(), clock=lambda: 1_000.0)
    exchange = Exchange(pool, Source("out.example.com", "127.0.0.1"))

    async def broken() -> None:
        raise ValueError("write to closed file")

    async with listening(ScriptedMx()) as mx:
        with pytest.raises(ValueError, match="closed file"):
            await exchange(
                to(mx), COPY, "ann@example.org", before_dot=broken, after_dot=lambda: None
            )
        await mx.quiet()
        await pool.close()


async def test_a_copy_says_that_it_needs_smtputf8(sender: Sender) -> None:
    copy = Copy("b@rp.test", "Subject: gr\u00fcn\r\n\r\nx\r\n".encode(), utf8=True)
    async with listening(ScriptedMx()) as mx:
        exchanged = await sender(to(mx), copy=copy)
        await sender.pool.close()
    assert (exchanged.reply.code, exchanged.reply.enhanced_text) == (553, "5.6.7")
    assert classify_reply(exchanged.reply).verdict is Verdict.BOUNCED
