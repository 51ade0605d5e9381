"""What the engine makes of a connection that was replaced, or that there was no room for."""

from bench.engine_lab import START, SimWorld, make_job
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.outcomes import CROWDED_SECONDS
from egress.core.engine.work import MoveKind, Offer
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import LaneClass
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import SourceAddress

SITE = Site("mx.test")


def an_engine(**settings: object) -> Engine:
    path = PathSettings(**settings)  # type: ignore[arg-type]
    world = SimWorld([SourceAddress("a", "pool", "a.example")], shaping=lambda *_: path)
    return Engine(world, EngineSettings(urgent_share=0.0), Bars())


def offer(engine: Engine, *numbers: int, now: float = START) -> None:
    for number in numbers:
        job = make_job(number, lane=LaneClass.TRANSACTIONAL)
        assert engine.offer(Offer(job, SITE, "mx"), now) is None


def test_a_connection_that_was_replaced_counts_as_a_new_one() -> None:
    engine = an_engine(
        connections=2,
        start_connections=2,
        messages_per_connection=2,
        connection_rate=Rate(1, 60),
        age=300.0,
        idle=1_000.0,
    )
    offer(engine, 1)
    (connection,) = engine.pump(START).opens
    engine.opened(connection, START)
    assert engine.pump(START).grants
    engine.concluded(connection, START, judgement=None, reply=_OK, usable=True)
    later = START + 299
    offer(engine, 2, now=later)
    assert engine.pump(later).grants
    engine.reopened(connection, later)
    engine.concluded(connection, later, judgement=None, reply=_OK, usable=True)
    assert (connection.carried, connection.opened_at) == (1, later)
    offer(engine, 3, now=later + 10)  # neither worn nor old, as the one before it was
    assert engine.pump(later + 10).grants
    offer(engine, 4, now=later + 10)
    work = engine.pump(later + 10)
    assert not work.opens  # it counted against the rate of connections
    assert work.at == later + 60


def test_mail_for_a_full_host_waits_and_is_refused_by_nobody() -> None:
    engine = an_engine(connections=1, start_connections=1)
    offer(engine, 1, 2)
    (connection,) = engine.pump(START).opens
    engine.crowded(connection, START)
    work = engine.pump(START)
    assert (work.opens, work.moves) == ([], [])
    assert work.at == START + CROWDED_SECONDS
    assert engine.waiting == 2
    (path,) = engine.paths.all()
    assert path.control.record.strikes == 0
    again = engine.pump(START + CROWDED_SECONDS)
    assert len(again.opens) == 1
    assert not again.moves


def test_mail_that_is_refused_with_a_connection_knows_whose_refusal_it_was() -> None:
    engine = an_engine(connections=1, start_connections=1)
    offer(engine, 1, 2)
    (connection,) = engine.pump(START).opens
    gone = SmtpReply(0, "cannot connect", Phase.CONNECT)
    engine.not_opened(connection, Judgement(), gone, START, host="mx9.test")
    moves = engine.pump(START).moves
    assert {(each.kind, each.host, each.address, each.reply) for each in moves} == {
        (MoveKind.REFUSE, "mx9.test", "a", gone)
    }
    assert len(moves) == 2


_OK = SmtpReply(250, "2.0.0 ok", Phase.DOT)
