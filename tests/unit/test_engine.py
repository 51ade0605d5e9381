"""The engine in simulated time: where mail goes, when, and what becomes of what cannot go."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.engine_lab import OK, START, Lab, Receiver, SimWorld, make_job, path_blame
from egress.core.engine.engine import EngineSettings
from egress.core.engine.path_record import PathState
from egress.core.engine.work import Connection, MoveKind
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.judgement import Action, Judgement, Scope, Verb
from mailroom.domain.sending.path import Site
from mailroom.domain.sending.rate import Rate
from mailroom.domain.sending.settings import PathSettings, TlsUse
from mailroom.domain.sending.source import SourceAddress

SITE = Site("mx:example", "other")
DEAD = SmtpReply(0, "connection refused", Phase.CONNECT)


def source(id_: str, pool: str = "pool", weight: int = 100) -> SourceAddress:
    return SourceAddress(id_, pool, f"{id_}.example", weight=weight)


def lab(*sources: SourceAddress, receiver: Receiver | None = None, **world: object) -> Lab:
    surroundings = SimWorld(list(sources or (source("a"),)))
    for name, value in world.items():
        setattr(surroundings, name, value)
    return Lab(surroundings, {SITE.key: receiver or Receiver()}, judge=path_blame)


def fill(lab: Lab, count: int, **more: object) -> None:
    for number in range(count):
        lab.offer(make_job(number, **more), SITE)  # type: ignore[arg-type]


def test_all_mail_goes_and_none_goes_twice() -> None:
    run = lab()
    fill(run, 300)
    run.run()
    assert run.delivered == 300
    assert len({seen.job.key for seen in run.seen}) == 300
    assert run.engine.waiting == 0
    assert not run.engine.connections
    assert run.open[SITE.key] == 0


def test_connections_never_pass_what_settings_allow() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(connections=4, start_connections=2))
    fill(run, 400)
    run.run()
    assert run.delivered == 400
    assert max(seen.open for seen in run.seen) == 4
    assert run.seen[3].open == 2


def test_mail_is_shared_out_among_addresses_by_weight() -> None:
    def shaping(_site: Site, _source: SourceAddress) -> PathSettings:
        return PathSettings(
            connections=30, start_connections=30, message_rate=None, connection_rate=None
        )

    run = lab(source("a", weight=75), source("b", weight=25), shaping=shaping)
    run.engine = type(run.engine)(run.world, EngineSettings(slots=20), run.engine.bars)
    fill(run, 480, lane=LaneClass.TRANSACTIONAL)
    run.run(START + 3)
    shares = Counter(seen.path.address for seen in run.seen)
    assert shares["a"] / shares["b"] == pytest.approx(3.0, rel=0.25)


def test_a_connection_carries_so_many_messages_and_no_more() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(messages_per_connection=10))
    fill(run, 100)
    run.run()
    carried = Counter(seen.connection for seen in run.seen)
    assert run.delivered == 100
    assert max(carried.values()) == 10


def test_a_message_rate_is_kept() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(message_rate=Rate(5)))
    fill(run, 100)
    run.run()
    seconds = run.seen[-1].at - run.seen[0].at
    assert run.delivered == 100
    assert seconds == pytest.approx(99 / 5, rel=0.1)


def test_mail_for_hosts_that_are_dead_is_parked_and_comes_back_when_they_live() -> None:
    receiver = Receiver(connect=lambda _c, _open, now: DEAD if now < START + 600 else None)
    run = lab(receiver=receiver)
    fill(run, 400)
    run.run(START + 3_600)
    assert run.delivered + sum(1 for _, m in run.moves if m.kind is MoveKind.REFUSE) == 400
    refused = [move for _, move in run.moves if move.kind is MoveKind.REFUSE]
    assert 0 < len(refused) <= 25 * 15
    assert len(run.refused) < 25
    assert min(seen.at for seen in run.seen) > START + 600


def test_one_dead_site_moves_nobody_elses_mail() -> None:
    other = Site("mx:alive", "other")
    run = lab(receiver=Receiver(connect=lambda *_: DEAD))
    run._receivers = {SITE.key: Receiver(connect=lambda *_: DEAD), other.key: Receiver()}
    fill(run, 500)
    for number in range(1_000, 1_100):
        run.offer(make_job(number), other)
    run.run(START + 120)
    assert run.delivered == 100
    assert max(seen.at for seen in run.seen) < START + 15


def test_without_a_source_of_its_pool_mail_is_handed_over() -> None:
    run = lab(source("a", pool="other"))
    run.offer(make_job(1), SITE)
    ((_, move),) = run.moves
    assert (move.kind, move.pool) == (MoveKind.PARK, "pool")


def test_what_warm_up_does_not_let_go_overflows_into_the_next_pool() -> None:
    budget = Counter({"cold": 10})

    def room(address: SourceAddress, _provider: str, now: float) -> float:
        if address.id != "cold":
            return now
        return now if run.world.warmed["cold"] < budget["cold"] else START + 3_600

    run = lab(source("cold"), source("warm", pool="big"), overflows={"pool": "big"}, rooms=room)
    fill(run, 100)
    run.run(START + 600)
    shares = Counter(seen.path.address for seen in run.seen)
    assert shares == {"cold": 10, "warm": 90}


def test_mail_waits_for_the_warm_up_where_nothing_else_may_send() -> None:
    opens = START + 3_600

    def room(_address: SourceAddress, _provider: str, now: float) -> float:
        return now if now >= opens else opens

    run = lab(rooms=room)
    fill(run, 50)
    run.run(START + 3_500)
    assert run.delivered == 0
    assert {move.kind for _, move in run.moves} == {MoveKind.PARK}
    run.run(START + 3_800)
    assert run.delivered == 50


def test_expired_mail_leaves_with_its_reason() -> None:
    run = lab(receiver=Receiver(seconds=10))
    fill(run, 200, lifetime=60)
    run.run(START + 600)
    expired = [move for _, move in run.moves if move.kind is MoveKind.EXPIRE]
    assert len(expired) + run.delivered == 200
    assert expired
    assert all(seen.at - START <= 70 for seen in run.seen)


def test_an_order_takes_effect_on_mail_that_waits_and_on_mail_that_comes() -> None:
    run = lab(receiver=Receiver(seconds=1))
    fill(run, 100, tenant="bad")
    run.at(START + 5, lambda: setattr(run.world, "orders", _bounce_bad))
    run.at(START + 5, lambda: run.engine.reconsider(run.now))
    run.at(START + 6, lambda: run.offer(make_job(900, tenant="bad"), SITE))
    run.at(START + 6, lambda: run.offer(make_job(901, tenant="good"), SITE))
    run.run(START + 60)
    bounced = [move for _, move in run.moves if move.kind is MoveKind.BOUNCE]
    assert len(bounced) + run.delivered == 102
    assert all(seen.at <= START + 7 for seen in run.seen if seen.job.tenant == "bad")
    assert run.seen[-1].job.key.number == 901


def _bounce_bad(job: object, _site: Site, now: float) -> tuple[MoveKind, str, float] | None:
    bad = getattr(job, "tenant", "") == "bad"
    return (MoveKind.BOUNCE, "spam", now) if bad else None


def test_urgent_mail_does_not_wait_behind_bulk() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(connections=8, start_connections=8))
    run.at(START, lambda: fill(run, 450))
    for number in range(20):
        at = START + 1 + number / 2
        code = make_job(10_000 + number, tenant="codes", lane=LaneClass.TRANSACTIONAL, at=at)
        run.at(at, lambda code=code: run.offer(code, SITE))  # type: ignore[misc]
    run.run(START + 60)
    waits = sorted(s.at - s.job.accepted_at for s in run.seen if s.job.tenant == "codes")
    assert len(waits) == 20
    assert waits[18] < 1.0


def test_one_tenant_gets_half_of_a_path_while_another_waits() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(connections=8, start_connections=8))
    fill(run, 240, tenant="big")
    for number in range(240):
        run.offer(make_job(number, tenant="small"), SITE)
    run.run(START + 4)
    shares = Counter(seen.job.tenant for seen in run.seen)
    assert shares["big"] == pytest.approx(shares["small"], rel=0.15)


def test_a_greylisted_delivery_comes_again_from_the_same_address() -> None:
    run = lab(source("a"), source("b"))
    for number in range(50):
        run.offer(make_job(number, sticky="b"), SITE)
    run.run(START + 60)
    assert {seen.path.address for seen in run.seen} == {"b"}
    gone = lab(source("a"), lost={"b"})
    gone.offer(make_job(1, sticky="b"), SITE)
    gone.run(START + 60)
    assert gone.delivered == 1


def test_a_lost_address_sends_nothing_more() -> None:
    run = lab(source("a"), source("b"))
    fill(run, 200)
    run.at(START + 2, lambda: run.world.lost.add("a"))
    run.at(START + 2, lambda: run.engine.lost("a"))
    run.run(START + 120)
    assert run.delivered == 200
    assert all(seen.at < START + 2.3 for seen in run.seen if seen.path.address == "a")


def test_a_drained_engine_names_all_that_waits() -> None:
    run = lab(receiver=Receiver(seconds=100))
    fill(run, 50)
    run.run(START + 5)
    waiting = run.engine.waiting
    moves = run.engine.drain()
    assert len(moves) == waiting > 0
    assert run.engine.waiting == 0
    assert run.engine.credits(LaneClass.BULK) > 0


def test_credit_falls_with_what_waits_and_keeps_a_share_for_urgent_mail() -> None:
    run = lab(receiver=Receiver(seconds=100))
    run.engine = type(run.engine)(run.world, EngineSettings(ready=100), run.engine.bars)
    assert run.engine.credits(LaneClass.BULK) == 75
    fill(run, 75)
    assert run.engine.credits(LaneClass.BULK) == 0
    assert run.engine.credits(LaneClass.TRANSACTIONAL) == 100


def test_mail_of_two_sets_of_hosts_never_shares_a_connection() -> None:
    run = lab()
    for number in range(100):
        run.offer(replace(make_job(number), campaign=f"g{number % 2}"), SITE, f"g{number % 2}")
    groups: dict[int, set[str]] = {}
    original = run._transact

    def watched(grant: object) -> None:
        connection, job = grant.connection, grant.job  # type: ignore[attr-defined]
        groups.setdefault(connection.number, set()).add(job.campaign)
        assert connection.line.group == job.campaign
        original(grant)  # type: ignore[arg-type]

    run._transact = watched  # type: ignore[method-assign,assignment]
    run.run()
    assert run.delivered == 100
    assert all(len(found) == 1 for found in groups.values())


def test_more_sites_than_places_all_have_their_turn() -> None:
    sites = [Site(f"mx:{number}", "other") for number in range(40)]
    run = Lab(SimWorld([source("a")]), {site.key: Receiver() for site in sites}, judge=path_blame)
    run.engine = type(run.engine)(run.world, EngineSettings(slots=4), run.engine.bars)
    for number in range(400):
        run.offer(make_job(number), sites[number % 40])
    run.run(START + 3_600)
    assert run.delivered == 400
    assert max(seen.at for seen in run.seen) < START + 120
    assert len(run.engine.connections) <= 4


def test_an_order_puts_a_tenants_mail_before_that_of_others() -> None:
    run = lab(shaping=lambda _site, _source: PathSettings(connections=1, start_connections=1))
    run.world.priorities["first"] = 5
    fill(run, 20)
    for number in range(20):
        run.offer(make_job(number, tenant="first"), SITE)
    run.run()
    assert [seen.job.tenant for seen in run.seen[:20]] == ["first"] * 20


def test_hosts_that_are_down_close_their_own_line_and_not_the_path() -> None:
    """Two domains whose first host is the same, which is down: one of them has a second one."""
    receiver = Receiver(
        connect=lambda connection, _open, _now: DEAD if connection.line.group == "down" else None
    )

    def shaping(_site: Site, _source: SourceAddress) -> PathSettings:
        return PathSettings(connections=20, start_connections=20, connection_rate=None)

    run = lab(receiver=receiver, shaping=shaping)
    for number in range(100):
        run.offer(make_job(number), SITE, "down" if number % 2 else "failover")
    run.run(START + 300)
    assert run.delivered == 50
    assert max(seen.at for seen in run.seen) < START + 60


def test_a_path_that_is_not_adaptive_goes_on_whatever_is_said() -> None:
    blocked = SmtpReply(421, "4.7.0 go away", Phase.MAIL)
    receiver = Receiver(reply=lambda job, _c, _now: blocked if job.key.number % 2 else OK)
    for adaptive in (True, False):
        settings = PathSettings(adaptive=adaptive)
        run = lab(receiver=receiver, shaping=lambda _site, _source, of=settings: of)
        run._judge = lambda _reply, _provider: Judgement(
            Scope.PATH, actions=(Action(Verb.SUSPEND, seconds=600),)
        )
        fill(run, 40)
        run.run(START + 60)
        assert (run.delivered == 20) is not adaptive


def test_connections_turned_away_together_are_one_answer_and_close_no_path() -> None:
    """A receiver that takes four connections meets twenty that are opened at once."""
    busy = SmtpReply(421, "4.7.0 too many connections", Phase.BANNER)
    receiver = Receiver(connect=lambda _c, taken, _now: busy if taken >= 4 else None)
    settings = PathSettings(connections=20, start_connections=20, connection_rate=None)
    run = lab(receiver=receiver, shaping=lambda _site, _source: settings)
    fill(run, 300)
    run.run(START + 60)
    assert run.delivered == 300


def test_mail_of_a_pool_that_another_host_has_does_not_overflow_here() -> None:
    run = lab(source("b", pool="big"), overflows={"pool": "big"}, elsewhere={"pool"})
    run.offer(make_job(1, pools=("pool", "big")), SITE)
    ((_, move),) = run.moves
    assert (move.kind, move.pool) == (MoveKind.PARK, "pool")


def test_mail_of_a_pool_that_nobody_can_have_overflows() -> None:
    run = lab(source("b", pool="big"), overflows={"pool": "big"})
    run.offer(make_job(1, pools=("pool", "big")), SITE)
    run.run(START + 60)
    assert run.delivered == 1


def test_greylisted_mail_does_not_wait_for_an_address_whose_path_is_closed() -> None:
    run = lab(source("a"), source("b"))
    path = run.engine.paths.of(run.world.addresses[1], SITE, START)
    path.control.ordered(START, PathState.SUSPENDED, START + 7_200, "a test", "ann")
    run.offer(make_job(1, sticky="b"), SITE)
    run.run(START + 60)
    assert [seen.path.address for seen in run.seen] == ["a"]


def test_a_receiver_that_wants_tls_gets_no_more_connections_without_it() -> None:
    wanted = SmtpReply(530, "5.7.0 Must issue a STARTTLS command first", Phase.MAIL)
    used: list[TlsUse] = []

    def reply(_job: JobFacts, connection: Connection, _now: float) -> SmtpReply:
        used.append(run.engine.path_of(connection.path).settings.tls)
        return OK if used[-1] is TlsUse.REQUIRED else wanted

    run = lab(receiver=Receiver(reply=reply))
    run._judge = lambda _reply, _provider: Judgement(
        Scope.CONFIGURATION, actions=(Action(Verb.FORCE_TLS), Action(Verb.RETRY_NOW))
    )
    run.offer(make_job(1), SITE)
    run.run(START + 5)
    run.engine.reconsider(run.now)
    run.offer(make_job(2), SITE)
    run.run(START + 10)
    assert used == [TlsUse.OPPORTUNISTIC, TlsUse.REQUIRED]
    assert len({seen.connection for seen in run.seen}) == 2
