"""Defects of Postal's sending side (reference: its own source, 3.3.6), each shown to be absent."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from egress.sender.attempt import CLAIM_SECONDS
from egress.sender.faults import Moment
from mailroom.domain.event import EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, DeliveryKey, Server, ServerId, Submission, Tracking
from mailroom.domain.outcome import BounceKind, Verdict, classify_reply
from mailroom.domain.render import render
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.tracking_token import TrackingKey
from mailroom.fakes.memory import MemoryLane, MemoryLedger
from mailroom.usecases.reconcile import ReconcilePorts, bring_due, look_after
from tests.egress.scripted_mx import HANG_UP, ScriptedMx, listening
from tests.egress.test_resolver import ask
from tests.support.desk import Crash, Life, World
from tests.support.socket_stand import sending, to, with_path

# Defect 2: after a disconnect in the middle of a batch, every message left in it lost an attempt.


@dataclass
class Impatient(ScriptedMx):
    """Takes `patience` messages of a connection, then ends it with `last_words`."""

    patience: int = 3
    last_words: bytes = HANG_UP
    taken: int = 0

    def _reply(self, verb: str) -> bytes:
        if verb == "banner":
            self.taken = 0
        elif verb == "dot":
            self.taken += 1
        elif verb in ("MAIL", "RSET") and self.taken >= self.patience:
            return self.last_words
        return super()._reply(verb)

    async def _say(self, writer: asyncio.StreamWriter, reply: bytes) -> bool:
        return await super()._say(writer, reply) and not reply.startswith(b"421")


@pytest.mark.parametrize("last_words", [HANG_UP, b"421 4.7.0 too many messages\r\n"])
async def test_defect_2_a_disconnect_costs_the_messages_behind_it_no_attempt(
    tmp_path: Path, last_words: bytes
) -> None:
    settings = with_path(connections=1, start_connections=1)
    async with (
        listening(Impatient(last_words=last_words)) as mx,
        sending(tmp_path, settings=settings) as sender,
    ):
        await asyncio.gather(*(sender.sent(to(mx)) for _ in range(10)))
        rows = list(sender.world.book.rows.values())
        assert {(row.state, row.attempts) for row in rows} == {(State.SENT, 1)}
        assert len(mx.messages) == len(sender.world.book.events) == 10
    assert mx.connections >= 4  # three at a time, so it did hang up


# Defect 3: a crash left rows locked, and after a day they were deleted: the mail was lost.


@pytest.mark.parametrize("moment", [Moment.AFTER_CLAIM, Moment.BEFORE_DOT, Moment.AFTER_DOT])
async def test_defect_3_a_crash_never_loses_mail_even_with_its_journal(
    tmp_path: Path, moment: Moment
) -> None:
    world = World(tmp_path)
    world.add()
    life = Life(world, moment)
    with pytest.raises(Crash):
        await life.work(world.wake_up())
    await life.end()
    locked = world.row()
    assert locked.state is State.ATTEMPTING
    # The host is gone for good, with its disk. The scheduler's table is the sender's.
    ledger, lane = MemoryLedger(), MemoryLane()
    ledger.put(locked)
    ledger.submissions[locked.key.server, locked.key.number] = SUBMISSION
    ports = ReconcilePorts(ledger, ledger, lane, RetryPolicy())
    place, number, was = locked.key.server, locked.key.number, world.now + 120
    ledger.watch(place, number, was)
    early = look_after(place, number, was, now=was, ports=ports)
    assert dict(early) == {"rewatched": 1}  # its owner may still be at it
    late = world.now + CLAIM_SECONDS + 1
    ((_, _, was),) = ledger.watched(late, 9)
    assert look_after(place, number, was, now=late, ports=ports)["lost_claims"] == 1
    (due_at,) = (row.due_at for row in ledger.rows.values())
    assert due_at is not None
    assert ledger.outbox[locked.key].type is EventType.UNCERTAIN
    bring_due(ledger.due(due_at, 9), now=due_at, ports=ports)
    ((wake_up, _),) = lane.sent
    # Another host takes it from there.
    world.book.rows[locked.key] = ledger.rows[locked.key]
    other = Life(world)
    assert await other.work(wake_up)
    await other.end()
    assert world.row().state is State.SENT


# Defect 16: null MX and NXDOMAIN were tried again for 31 hours.


async def test_defect_16_a_null_mx_is_permanent() -> None:
    answer = await ask({("d.example", "MX"): ["0 ."]}, "d.example")
    assert answer.refusal is not None
    outcome = classify_reply(answer.refusal)
    assert (outcome.verdict, outcome.bounce) == (Verdict.BOUNCED, BounceKind.HARD)


async def test_defect_16_a_domain_that_does_not_exist_is_permanent() -> None:
    answer = await ask({}, "d.example")
    assert answer.refusal is not None
    outcome = classify_reply(answer.refusal)
    assert (outcome.verdict, outcome.bounce) == (Verdict.BOUNCED, BounceKind.HARD)


async def test_defect_16_a_resolver_that_fails_is_not() -> None:
    answer = await ask({("d.example", "MX"): "SERVFAIL"}, "d.example")
    assert answer.refusal is not None
    assert classify_reply(answer.refusal).verdict is Verdict.DEFERRED


# Defect 19: links marked `+notrack` stayed broken when tracking was off.

SERVER = Server(ServerId("abcdefghij"), "org", "Demo", "demo", "abc123")
SUBMISSION = Submission(
    server=SERVER.id,
    number=1,
    accepted_at=1_760_000_000.0,
    expires_at=1_760_100_000.0,
    mail_from="a@demo.example",
    from_address="a@demo.example",
    sign_domain="demo.example",
    subject="",
    message_id=None,
    tag=None,
    size=1,
    recipients=1,
    source="api",
    bounce=False,
    body=BodyRef(inline=b""),
)
HTML = b'<a href="https+notrack://x.example/a">one</a> http+notrack://y.example/'
MARKED = [
    b"Content-Type: text/html\r\n\r\n" + HTML + b"\r\n",
    b"Content-Type: text/plain\r\n\r\nsee https+notrack://x.example/a\r\n",
    b"Content-Type: text/html\r\nX-AMP: skip\r\n\r\n" + HTML + b"\r\n",
]


@pytest.mark.parametrize("marked", MARKED)
@pytest.mark.parametrize(
    "tracking",
    [
        None,
        Tracking("https://track.example", clicks=False, opens=False),
        Tracking("https://track.example", clicks=False, opens=True),
        Tracking("https://track.example"),
    ],
)
def test_defect_19_notrack_links_work_whatever_is_tracked(
    marked: bytes, tracking: Tracking | None
) -> None:
    copy = render(
        b"From: a@demo.example\r\nMIME-Version: 1.0\r\n" + marked,
        submission=SUBMISSION,
        key=DeliveryKey(SERVER.id, 1, 0),
        server=replace(SERVER, tracking=tracking),
        token="A" * 16,
        tracking_key=TrackingKey("k", b"t" * 32),
        host="rp.demo.example",
    )
    assert b"notrack" not in copy.raw
    assert b"https://x.example/a" in copy.raw
    assert b"track.example/c/" not in copy.raw
