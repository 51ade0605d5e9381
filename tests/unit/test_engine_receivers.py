"""The engine against receivers that are known, judged by the shipped rules, in simulated time."""

from collections import Counter
from functools import cache, partial

import pytest

from bench.engine_lab import OK, START, Lab, Receiver, SimWorld, make_job
from egress.core.engine.path_record import PathState, dump, load
from egress.core.engine.work import Connection, MoveKind
from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import SourceAddress

HOUR = 3_600.0
GMAIL, YAHOO, SMALL = Site("google", "gmail"), Site("yahoo", "yahoo"), Site("mx:small", "other")
UNUSUAL = SmtpReply(
    421,
    "4.7.28 Gmail has detected an unusual rate of email originating from your IP\n"
    "4.7.28 address [192.0.2.7 15]. Mail from it has been temporarily rate limited.",
    Phase.DOT,
)
TSS04 = SmtpReply(
    421,
    "4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or user"
    " complaints",
    Phase.MAIL,
)
UNAUTHENTICATED = SmtpReply(
    421,
    "4.7.26 Your email has been rate limited because it is unauthenticated. Gmail requires all"
    " senders to authenticate with either SPF or DKIM.",
    Phase.DOT,
)
TOO_MANY = SmtpReply(421, "4.7.0 Error: too many connections from 192.0.2.7", Phase.BANNER)
BUSY = SmtpReply(421, "4.3.2 No service for you now, try later", Phase.BANNER)


@cache
def book() -> RuleBook:
    return shipped_reply_rules()


def judge(reply: SmtpReply, provider: str) -> Judgement:
    return book().judge(reply, provider)


def source(id_: str) -> SourceAddress:
    return SourceAddress(id_, "pool", f"{id_}.example")


def lab(
    receivers: dict[Site, Receiver], *sources: SourceAddress, settings: PathSettings | None = None
) -> Lab:
    shaping = settings or PathSettings(connections=50, connection_rate=None)
    world = SimWorld(list(sources or (source("a"),)), shaping=lambda _site, _source: shaping)
    return Lab(world, {site.key: each for site, each in receivers.items()}, judge=judge)


def state(run: Lab, address: str, site: Site) -> PathState:
    return run.engine.path_of(PathKey(address, site.key)).control.permit(run.now).state


@pytest.mark.parametrize(
    ("most", "says", "used"),
    [(1, BUSY, 0.9), (3, BUSY, 0.7), (8, BUSY, 0.7), (1, TOO_MANY, 0.9), (8, TOO_MANY, 0.1)],
)
def test_a_limit_on_connections_is_found_with_few_refusals(
    most: int, says: SmtpReply, used: float
) -> None:
    def connect(_connection: Connection, open_: int, _now: float) -> SmtpReply | None:
        return says if open_ >= most else None

    run = lab({SMALL: Receiver(connect=connect)})
    for number in range(10_000):
        run.offer(make_job(number), SMALL)
    run.run(START + 600)
    refused = sum(1 for _, move in run.moves if move.kind is MoveKind.REFUSE)
    deferrals = len(run.refused) + refused
    assert deferrals < 0.2 * (run.delivered + deferrals)
    assert max(seen.open for seen in run.seen) <= most
    late = [seen.open for seen in run.seen if seen.at > START + 120]
    assert sum(late) / len(late) > used * most


def test_after_an_unusual_rate_gmail_hears_nothing_for_ten_minutes_then_one_connection() -> None:
    def reply(_job: JobFacts, _connection: Connection, now: float) -> SmtpReply:
        return UNUSUAL if START + 20 <= now < START + 21 else OK

    run = lab({GMAIL: Receiver(reply=reply)})
    for number in range(5_000):
        run.offer(make_job(number), GMAIL)
    run.run(START + HOUR)
    told = min(seen.at for seen in run.seen if seen.reply is UNUSUAL)
    after = [seen for seen in run.seen if seen.at > told + 5]
    assert after[0].at >= told + 600
    assert [seen.open for seen in after[:5]] == [1] * 5
    assert max(seen.open for seen in after[:15]) <= 2
    assert max(seen.open for seen in after if seen.at < told + 1_200) <= 3


def test_yahoo_closes_one_address_for_two_hours_and_nothing_else() -> None:
    def reply(_job: JobFacts, connection: Connection, now: float) -> SmtpReply:
        bad = connection.path.address == "a" and START + 30 <= now < START + 40
        return TSS04 if bad else OK

    run = lab({YAHOO: Receiver(reply=reply), GMAIL: Receiver()}, source("a"), source("b"))
    for number in range(5_000):
        at = START + 2.0 * number
        for site in (YAHOO, GMAIL):
            run.at(at, partial(run.offer, make_job(number, tenant=site.key, at=at), site))
    run.run(START + 3 * HOUR)
    told = min(seen.at for seen in run.seen if seen.reply is TSS04)
    closed = [seen for seen in run.seen if told + 5 < seen.at < told + 2 * HOUR]
    seen_at = Counter((seen.path.address, seen.path.site) for seen in closed)
    assert seen_at["a", YAHOO.key] == 0
    assert all(seen_at[key] > 0 for key in [("b", YAHOO.key), ("a", GMAIL.key), ("b", GMAIL.key)])
    assert state(run, "b", YAHOO) is state(run, "a", GMAIL) is PathState.NORMAL


def test_one_domains_authentication_does_not_slow_another_tenant() -> None:
    def reply(job: JobFacts, _connection: Connection, _now: float) -> SmtpReply:
        return UNAUTHENTICATED if job.tenant == "bad" else OK

    waits = {}
    for tenants in (("good",), ("good", "bad")):
        run = lab({GMAIL: Receiver(reply=reply)})
        for number in range(4_000):
            at = START + number / 20
            for tenant in tenants:
                job = make_job(number, tenant=tenant, at=at)
                run.at(at, partial(run.offer, job, GMAIL))
        run.run(START + 2 * HOUR)
        good = [seen for seen in run.seen if seen.job.tenant == "good"]
        assert len(good) == 4_000
        assert state(run, "a", GMAIL) is PathState.NORMAL
        waits[tenants] = sum(seen.at - seen.job.accepted_at for seen in good) / len(good)
        assert sum(seen.job.tenant == "bad" for seen in run.seen) <= 20
    assert waits["good", "bad"] == pytest.approx(waits["good",], rel=0.05)


def test_a_restart_in_silence_or_backoff_changes_nothing() -> None:
    run = lab({YAHOO: Receiver(reply=lambda *_: TSS04)})
    run.offer(make_job(1), YAHOO)
    run.run(START + 60)
    key = PathKey("a", YAHOO.key)
    kept = run.engine.path_of(key).control.record
    again = lab({YAHOO: Receiver()})
    again.world.records[key] = load(dump(kept))
    for number in range(10):
        again.offer(make_job(number), YAHOO)
    again.run(START + 3 * HOUR)
    assert again.delivered == 10
    assert min(seen.at for seen in again.seen) >= START + 2 * HOUR
