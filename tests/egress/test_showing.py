"""What a host shows of itself: waiting mail, counts of the last minutes, why paths wait."""

from dataclasses import dataclass, field, replace

import pytest

from bench.engine_lab import SimWorld, make_job
from egress.core.engine.bars import Bars
from egress.core.engine.engine import Engine, EngineSettings
from egress.core.engine.path_record import PathState
from egress.core.engine.work import Grant, Offer
from egress.sender.exchange import Exchanged
from egress.sender.showing import WINDOW, Showcase, Who
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.sending.order import Order, OrderVerb, Selector
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.path import PathKey, Site
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.sending.source import SourceAddress
from mailroom.domain.sending.view import HostView, PathView

NOW = 1_800_000_000.0
SITE = Site("mx.test", "gmail")
PATH = PathKey("a", "mx.test")
OK = Exchanged(SmtpReply(250, "2.0.0 ok", Phase.DOT))
LATER = Exchanged(SmtpReply(451, "4.7.1 later", Phase.RCPT), judgement=Judgement(rule="r1"))
REFUSED = Exchanged(SmtpReply(550, "5.1.1 who?", Phase.RCPT))
LOST = Exchanged(SmtpReply(0, "connection lost", Phase.DOT))


@dataclass
class Stand:
    """A showcase over an engine with one address that may have one connection to a site."""

    now: float = NOW
    orders: tuple[Order, ...] = ()
    draining: bool = False
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        settings = PathSettings(connections=1, start_connections=1)
        world = SimWorld(
            [SourceAddress("a", "pool", "a.example")], shaping=lambda _site, _source: settings
        )
        self.engine = Engine(world, EngineSettings(urgent_share=0.0), Bars())
        who = Who(
            process="h.1",
            started_at=NOW - 60,
            version="1",
            leases=lambda: ("a",),
            draining=lambda: self.draining,
            shaping=lambda: "s7",
            rules=lambda: "r3",
            book=lambda: OrderBook(self.orders),
        )
        self.showcase = Showcase(who, now=lambda: self.now)

    def offer(self, *jobs: JobFacts) -> None:
        for job in jobs:
            assert self.engine.offer(Offer(job, SITE, "mx"), self.now) is None

    def grant(self) -> Grant:
        (connection,) = self.engine.pump(self.now).opens
        self.engine.opened(connection, self.now)
        (grant,) = self.engine.pump(self.now).grants
        return grant

    def view(self) -> HostView:
        return self.showcase.view(self.engine)

    def path(self) -> PathView:
        (path,) = self.view().paths
        return path


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_host_without_mail_says_who_it_is(stand: Stand) -> None:
    view = stand.view()
    assert (view.process, view.at, view.started_at, view.version) == ("h.1", NOW, NOW - 60, "1")
    assert (view.leases, view.rules, view.shaping, view.draining) == (("a",), "r3", "s7", False)
    assert view.lanes == {"transactional": 0, "bulk": 0}
    assert (view.waiting, view.tenants, view.paths, view.in_flight) == ({}, {}, (), 0)


def test_waiting_mail_is_counted_by_site_tenant_and_class(stand: Stand) -> None:
    stand.offer(
        make_job(1, tenant="one", lane=LaneClass.TRANSACTIONAL),
        make_job(2, tenant="two", at=NOW - 90),
        make_job(3, tenant="two"),
    )
    grant = stand.grant()
    assert grant.job.lane is LaneClass.TRANSACTIONAL
    view = stand.view()
    assert view.waiting == {"mx.test": 2}
    assert view.tenants == {"two": 2}
    assert view.lanes == {"transactional": 0, "bulk": 2}
    assert view.in_flight == 1
    path = stand.path()
    assert (path.name, path.provider, path.pool) == ("a>mx.test", "gmail", "pool")
    assert (path.ready, path.queue_age, path.connections, path.window) == (2, 90.0, 1, 1.0)


def test_replies_are_counted_by_what_became_of_the_mail(stand: Stand) -> None:
    stand.offer(make_job(1))
    grant = stand.grant()
    for exchanged in (OK, OK, LATER, REFUSED, LOST):
        stand.showcase.concluded(grant, exchanged)
    path = stand.path()
    assert (path.sent, path.deferred, path.bounced) == (2, 2, 1)  # what is lost is tried again
    assert stand.view().counters == {"sent": 2, "deferred": 1, "bounced": 1, "uncertain": 1}


def test_a_rule_may_overrule_a_code(stand: Stand) -> None:
    stand.offer(make_job(1))
    grant = stand.grant()
    permanent = replace(LATER, judgement=Judgement(permanent=True))
    stand.showcase.concluded(grant, permanent)
    assert stand.view().counters == {"bounced": 1}


def test_what_no_host_let_in_shows_on_its_path(stand: Stand) -> None:
    stand.offer(make_job(1))
    stand.engine.pump(NOW)
    gone = SmtpReply(0, "cannot connect", Phase.CONNECT)
    stand.showcase.answered(PATH, Exchanged(gone))
    path = stand.path()
    assert path.deferred == 1
    assert [(each.text, each.phase) for each in path.errors] == [("cannot connect", "connect")]


def test_counts_are_of_the_last_minutes_and_counters_of_all(stand: Stand) -> None:
    stand.offer(make_job(1))
    grant = stand.grant()
    stand.showcase.concluded(grant, OK)
    stand.now += WINDOW - 1
    stand.showcase.concluded(grant, OK)
    stand.now += 2
    assert stand.path().sent == 1
    assert stand.view().counters == {"sent": 2}


def test_the_last_errors_are_shown_the_newest_first_and_bounded(stand: Stand) -> None:
    stand.offer(make_job(1))
    grant = stand.grant()
    for number in range(30):
        text = f"4.7.1 {number} " + "x" * 5_000
        reply = SmtpReply(451, text, Phase.RCPT)
        stand.showcase.concluded(grant, Exchanged(reply, judgement=Judgement(rule="r1")))
    errors = stand.path().errors
    assert [each.text.split()[1] for each in errors] == [str(n) for n in range(29, 19, -1)]
    assert {(each.code, each.rule, len(each.text)) for each in errors} == {(451, "r1", 300)}


def test_a_path_tells_its_state_since_when_and_why(stand: Stand) -> None:
    stand.offer(make_job(1))
    control = stand.engine.path_of(stand.grant().connection.path).control
    control.ordered(NOW, PathState.SUSPENDED, NOW + 60, "the provider asked", "ann")
    for _ in range(2):  # what was shown once is shown again
        path = stand.path()
        assert (path.state, path.until, path.reply) == ("suspended", NOW + 60, "the provider asked")
        (transition,) = path.transitions
        assert (transition.before, transition.after, transition.at) == ("normal", "suspended", NOW)


def test_the_story_of_a_path_that_is_forgotten_goes_with_it(stand: Stand) -> None:
    stand.showcase.answered(PATH, LATER)
    assert not stand.view().paths
    stand.offer(make_job(1))
    stand.engine.pump(NOW)
    assert not stand.path().errors


def test_a_draining_host_says_so(stand: Stand) -> None:
    stand.draining = True
    assert stand.view().draining


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (OrderVerb.PAUSE, "paused"),
        (OrderVerb.SUSPEND, "suspended"),
        (OrderVerb.DISABLE_ADDRESS, "disabled"),
    ],
)
def test_what_orders_made_of_a_path_is_shown_as_its_state(
    stand: Stand, verb: OrderVerb, state: str
) -> None:
    stand.offer(make_job(1))
    stand.grant()
    stand.orders = (
        Order("ord_1", verb, Selector(address="a"), "a test", "ann", NOW - 1, NOW + 600),
    )
    path = stand.path()
    assert (path.state, path.until, path.cause) == (state, NOW + 600, "ord_1")
    assert path.orders == ("ord_1",)
    stand.orders = ()
    assert stand.path().state == "normal"
