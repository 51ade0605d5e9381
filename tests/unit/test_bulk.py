"""One action on many messages: the count before it, and the job."""

import json
from dataclasses import replace

import pytest

from mailroom.domain.job import Job, after_step
from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from mailroom.domain.message_filter import MessageFilter
from mailroom.errors import InvalidRequestError, NotHeldError
from mailroom.fakes.memory import MemoryLedger
from mailroom.fakes.search import MemorySearch
from mailroom.usecases.bulk import (
    KIND,
    STATES,
    STEP_MESSAGES,
    BulkAction,
    bulk_step,
    bulk_target,
    count_bulk,
    new_bulk_job,
)
from mailroom.usecases.find_messages import MAX_LOOKED, Wanted
from mailroom.usecases.jobs import BrokenJobError
from tests.support.many_messages import NOW, SERVER, made_delivery, made_submission

HELD = MessageFilter(states=frozenset({State.HELD}))


class Queue:
    """Messages, a search, and an action that writes down what it was done to."""

    def __init__(self):
        self.ledger = MemoryLedger()
        self.search = MemorySearch(self.ledger)
        self.done = []
        self.refuses = set()

    def add(self, number, at, state=State.HELD, **changes):
        made = made_submission(number, at, **changes)
        self.ledger.reserve([made_delivery(made, 0, "ann@x.test", state=state)])
        self.ledger.commit(made)

    def fill(self, count):
        for number in range(1, count + 1):
            self.add(number, NOW - count + number - 1)

    def release(self, key, by):
        if key.number in self.refuses:
            raise NotHeldError("no")
        row = self.ledger.rows[key]
        if row.state is not State.HELD:
            raise NotHeldError("no")
        self.done.append((key.number, by))
        self.ledger.put(replace(row, state=State.QUEUED))
        return row

    def job(self, wanted=None, action=BulkAction.RELEASE):
        target = bulk_target(action, wanted or Wanted(SERVER), NOW)
        new = new_bulk_job(action, target, "ann")
        assert new.kind == KIND
        stored = json.loads(json.dumps(dict(new.parameters)))  # as a table keeps it
        return Job("job_1", new.kind, new.owner, "ann", NOW, parameters=stored)

    def step(self, job):
        result = bulk_step(self.search, {"release": self.release})(job, NOW)
        return after_step(job, result, NOW), result

    def run(self, job):
        steps = 0
        while True:
            job, result = self.step(job)
            steps += 1
            assert steps < 100
            if result.finished:
                return job, steps


@pytest.fixture
def queue():
    return Queue()


def test_a_job_does_its_action_to_all_that_match_a_step_at_a_time(queue):
    queue.fill(2 * STEP_MESSAGES + 10)
    queue.add(9_001, NOW - 0.5, State.SENT)
    queue.add(9_002, NOW - 0.5, server=ServerId("bbbbbbbbbb"))
    job, steps = queue.run(queue.job())
    assert sorted(queue.done) == [(n, "ann") for n in range(1, 2 * STEP_MESSAGES + 11)]
    assert steps == 3
    assert (job.progress.done, job.progress.failed) == (2 * STEP_MESSAGES + 10, 0)
    assert job.result["looked_at"] == 2 * STEP_MESSAGES + 11
    assert queue.ledger.rows[made_submission(9_001, NOW).key(0)].state is State.SENT


def test_what_refuses_is_counted_and_the_rest_is_done(queue):
    queue.fill(5)
    queue.refuses = {2, 4}
    job, _ = queue.run(queue.job())
    assert [number for number, _ in queue.done] == [5, 3, 1]
    assert (job.progress.done, job.progress.failed) == (3, 2)


def test_a_step_that_is_repeated_does_nothing_twice(queue):
    queue.fill(STEP_MESSAGES + 5)
    job = queue.job()
    queue.step(job)  # and its worker died
    job, _ = queue.run(job)
    assert len(queue.done) == len(set(queue.done)) == STEP_MESSAGES + 5


def test_a_job_leaves_alone_what_came_after_it_was_asked_for(queue):
    queue.fill(3)
    job = queue.job()
    queue.add(50, NOW + 1)
    queue.run(job)
    assert [number for number, _ in queue.done] == [3, 2, 1]


def test_a_job_does_what_its_filter_says(queue):
    queue.add(1, NOW - 3, tag="may", subject="Invoice")
    queue.add(2, NOW - 2, tag="may", subject="Offer")
    queue.add(3, NOW - 1, tag="june", subject="Invoice")
    queue.run(queue.job(Wanted(SERVER, replace(HELD, tag="may", subject="invoice"))))
    assert [number for number, _ in queue.done] == [1]


def test_trouble_is_not_a_refusal(queue):
    queue.fill(1)

    def broken(key, by):
        raise RuntimeError("the table is away")

    with pytest.raises(RuntimeError):
        bulk_step(queue.search, {"release": broken})(queue.job(), NOW)
    with pytest.raises(BrokenJobError):
        bulk_step(queue.search, {})(queue.job(), NOW)


def test_the_count_is_what_the_job_would_do(queue):
    queue.fill(250)
    queue.add(9_001, NOW - 0.5, State.SENT)
    target = bulk_target(BulkAction.RELEASE, Wanted(SERVER), NOW)
    count = count_bulk(target, queue.search)
    assert (count.matching, count.looked_at, count.is_complete) == (250, 251, True)
    assert count.looked_back_to == target.since
    job, _ = queue.run(queue.job())
    assert job.progress.done == count.matching


def test_the_count_looks_at_a_bounded_number(queue):
    queue.fill(MAX_LOOKED + 50)
    count = count_bulk(bulk_target(BulkAction.RELEASE, Wanted(SERVER), NOW), queue.search)
    assert (count.matching, count.looked_at) == (MAX_LOOKED, MAX_LOOKED)
    assert not count.is_complete
    assert count.looked_back_to == round(NOW - MAX_LOOKED + 0.001, 3)


@pytest.mark.parametrize("action", BulkAction)
def test_an_action_is_for_messages_it_can_be_done_to(action):
    for state in State:
        wanted = Wanted(SERVER, MessageFilter(states=frozenset({state})))
        if state in STATES[action]:
            assert bulk_target(action, wanted, NOW).filter.states == {state}
        else:
            with pytest.raises(InvalidRequestError, match="is for messages that are"):
                bulk_target(action, wanted, NOW)
    assert State.SENT not in STATES[action]


def test_sending_again_what_had_ended_must_be_asked_for_by_name():
    assert bulk_target(BulkAction.RETRY, Wanted(SERVER), NOW).filter.states == {State.DEFERRED}
