"""Deleting an organisation for good: all of it, nothing else, whoever dies on the way."""

import pytest

from mailroom.domain.dns.state_row import Watch, dump_due, dump_watch
from mailroom.domain.job import STALE_SECONDS, JobState
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.suppression import Reason, Suppression
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.every import KINDS
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.pool import POOL, POOL_ADDRESS
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM, RECOVERY_SECONDS, ResourceKind
from mailroom.fakes.erasure import MemoryRemoval
from mailroom.fakes.files import MemoryFiles
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedChance, FixedClock, MemoryLedger
from mailroom.fakes.registry import MemoryRegistry
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.jobs import JobPorts, Outcome, revive_quiet, run_step, work_on
from mailroom.usecases.organisation_removal import (
    DELETE,
    RemovalPorts,
    delete_step,
    start_removal,
)
from mailroom.usecases.registrar import Registrar

NOW = 1_760_000_000.0
DAY = 86_400.0
PLAIN = ResourceKind("watched", "dom", 10)
ACTOR = Actor("platform", "key", "test")


class Stand:
    """Two tenants with mail and all that comes with it, and a worker."""

    def __init__(self):
        self.clock = FixedClock(NOW)
        self.jobs = JobPorts(MemoryJobs(), MemoryJobQueue(), self.clock)
        self.ledger, self.registry = MemoryLedger(), MemoryRegistry()
        self.registrar = Registrar(self.registry, self.clock, FixedChance(), "test")
        self.removal = MemoryRemoval(self.ledger, self.registry)
        self.ports = RemovalPorts(
            self.registry, self.removal, MemorySuppressions(self.clock), MemoryFiles(), KINDS
        )
        self.kinds = {DELETE: lambda job, now: delete_step(job, now, self.ports)}
        self.pools: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.organisations = {name: self.make(name) for name in ("mine", "other")}
        self.clock.at += 40 * DAY

    def make(self, name):
        id_ = self.registrar.id_for(ORGANISATION)
        fields = {"name": name, "permalink": name}
        made = self.registrar.create(
            ORGANISATION, PLATFORM, fields, actor=ACTOR, organisation=id_, id_=id_
        )
        owner = f"organisation#{made.id}"
        watch = Watch("domain", owner, f"dom_{name}", NOW)
        domain = self.registrar.create(
            PLAIN, owner, {}, actor=ACTOR, organisation=made.id, id_=watch.id
        )
        assert domain.id == watch.id
        self.registry.write([Change.put(dump_watch(watch)), Change.put(dump_due(watch))])
        pool = self.registrar.create(POOL, owner, {"name": name}, actor=ACTOR, organisation=made.id)
        self.pools[name] = pool.id
        address = self.registrar.create(
            POOL_ADDRESS,
            pool.owner,
            {"ipv4": f"192.0.2.{len(name)}", "hostname": f"{name}.test"},
            actor=ACTOR,
            organisation=made.id,
        )
        self.addresses[name] = address.id
        for number in (1, 2):
            id_ = ServerId(f"{name[0]}{number}".ljust(10, "x"))
            fields = {
                "name": "Main", "permalink": f"main{number}", "token": f"{name}{number}",
                "organisation_permalink": name, "privacy": True,
            }  # fmt: skip
            self.registrar.create(SERVER, owner, fields, actor=ACTOR, organisation=made.id, id_=id_)
            hook = self.registrar.create(
                WEBHOOK,
                f"server#{id_}",
                {"url": "https://hook.test"},
                actor=ACTOR,
                organisation=made.id,
            )
            self.removal.facts[id_] = self.removal.counts[id_] = 450
            self.removal.calls[id_, hook.id] = 450
            cram = Record(Place(f"server#{id_}", "cram#1"), {})
            self.registry.write([Change.put(cram)])
            for scope in (f"server#{id_}", f"stream#{id_}#broadcast", owner):
                row = Suppression(scope, Reason.MANUAL, f"ann{number}@x.test", NOW)
                self.ports.suppressions.add(scope, row)
            for day in range(3):
                self.send(id_, day + 1, NOW + day * 15 * DAY)
        return made

    def send(self, server, number, at):
        body = BodyRef(key=f"30/aa/o/{server}/{number}")
        self.ports.files.stored[body.key] = b"Hello"
        self.ledger.put(Delivery(DeliveryKey(server, number, 0), "a@x.test", State.SENT, at, at))
        self.ledger.commit(
            Submission(
                server=server, number=number, accepted_at=at, expires_at=at, mail_from="",
                from_address="me@demo.test", sign_domain="demo.test", subject="", message_id=None,
                tag=None, size=1, recipients=1, source="api", bounce=False, body=body,
            )
        )  # fmt: skip

    def delete(self, *, forced=True):
        made = self.organisations["mine"]
        self.registrar.delete(ORGANISATION, made, actor=ACTOR)
        return start_removal(made.id, "key", "job_1", self.jobs, forced=forced)

    def left(self):
        """Everything that is there, by whose it is."""
        places = [*self.registry._records]
        mine = self.organisations["mine"].id
        sources = (self.pools["mine"], self.addresses["mine"], "192.0.2.4")
        names = (mine, "mine", "m1xx", "m2xx", *sources)
        texts = [f"{place.partition} {place.sort}" for place in places]
        texts += [f"mail {key}" for key in self.ledger.rows]
        texts += [f"mail {server}" for server, _ in self.ledger.submissions]
        texts += [f"body {key}" for key in self.ports.files.stored]
        texts += [f"suppression {scope}" for scope, _ in self.ports.suppressions.rows]
        for rows in (self.removal.facts, self.removal.counts, self.removal.calls):
            texts += [f"rows {key}" for key, count in rows.items() if count]
        own = [text for text in texts if any(name in text for name in names)]
        return own, sorted(set(texts) - set(own))


@pytest.fixture
def stand():
    return Stand()


def test_all_of_it_goes_and_nothing_else(stand):
    own, others = stand.left()
    assert len(own) > 40
    job = stand.delete()
    tried = work_on(job.id, stand.kinds, stand.jobs)
    assert tried.job.state is JobState.DONE, tried.problem
    assert tried.job.result["servers"] == 2
    assert tried.job.result["bodies"] == 6
    own, still = stand.left()
    assert own == []
    assert still == others
    assert stand.registrar.find(SERVER, "token", "mine1") is None
    assert stand.registrar.find(SERVER, "token", "other1") is not None


def test_it_ends_the_same_when_each_step_is_done_twice(stand):
    _, others = stand.left()
    job = stand.delete()
    outcome = Outcome.AGAIN
    while outcome is Outcome.AGAIN:
        kept = stand.jobs.store.stored[job.id]
        run_step(job.id, stand.kinds, stand.jobs, stand.clock.now())
        stand.jobs.store.stored[job.id] = kept  # as if the worker had died before it was written
        outcome = run_step(job.id, stand.kinds, stand.jobs, stand.clock.now()).outcome
    assert outcome is Outcome.ENDED
    assert stand.left() == ([], others)


def test_it_sleeps_until_nobody_can_have_it_back(stand):
    job = stand.delete(forced=False)
    before = stand.left()
    assert stand.jobs.queue.woken == []
    assert work_on(job.id, stand.kinds, stand.jobs).outcome is Outcome.IDLE
    stand.clock.at += RECOVERY_SECONDS - 10
    assert revive_quiet(stand.jobs, stand.clock.now()) == 0
    assert stand.left() == before
    stand.clock.at += STALE_SECONDS + 20
    assert revive_quiet(stand.jobs, stand.clock.now()) == 1
    assert work_on(job.id, stand.kinds, stand.jobs).job.state is JobState.DONE
    assert stand.left()[0] == []


def test_one_that_is_woken_early_goes_back_to_sleep(stand):
    job = stand.delete(forced=False)
    asleep = stand.jobs.store.stored[job.id]
    stand.jobs.store.stored[job.id] = type(asleep)(
        **{name: getattr(asleep, name) for name in asleep.__slots__ if name != "beat_at"},
        beat_at=stand.clock.now(),
    )
    tried = work_on(job.id, stand.kinds, stand.jobs)
    assert tried.outcome is Outcome.RESTS
    assert tried.job.beat_at == stand.clock.now() + RECOVERY_SECONDS
    assert stand.jobs.queue.woken == []


def test_an_organisation_that_came_back_is_left_alone(stand):
    job = stand.delete(forced=False)
    mine = stand.organisations["mine"]
    stand.registrar.restore(ORGANISATION, PLATFORM, mine.id, actor=ACTOR)
    before = stand.left()
    stand.clock.at += RECOVERY_SECONDS + 1
    tried = work_on(job.id, stand.kinds, stand.jobs)
    assert (tried.job.state, tried.job.result) == (JobState.DONE, {"restored": True})
    assert stand.left() == before


def test_a_forced_one_cannot_be_had_back(stand):
    job = stand.delete()
    run_step(job.id, stand.kinds, stand.jobs, stand.clock.now())
    with pytest.raises(Exception, match="nothing with that id"):
        stand.registrar.restore(ORGANISATION, PLATFORM, stand.organisations["mine"].id, actor=ACTOR)
