"""Where jobs are kept and how workers are woken: fake and adapter keep the same promises."""

import json
from dataclasses import replace

import pytest

from mailroom.adapters.dynamo_jobs import DynamoJobs
from mailroom.adapters.job_text import load_job_wake_up
from mailroom.adapters.sqs_jobs import SqsJobs
from mailroom.domain.job import STALE_SECONDS, Job, JobState, Progress, StepResult
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedClock
from mailroom.usecases.jobs import JobPorts, NewJob, Outcome, revive_quiet, start, work_on

NOW = 4_000_000_000.0  # to come: the emulator deletes rows whose ttl is over


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def jobs(request):
    if request.param == "memory":
        return MemoryJobs()
    return DynamoJobs(request.getfixturevalue("cloud").settings)


@pytest.fixture(params=["memory", pytest.param("sqs", marks=pytest.mark.emulator)])
def queue(request):
    """(JobQueue, what waits in it)."""
    if request.param == "memory":
        memory = MemoryJobQueue()
        return memory, lambda: [id_ for id_, _ in memory.woken]
    cloud = request.getfixturevalue("cloud")
    sqs, url = cloud.client("sqs"), cloud.settings.resource("queue", "jobs")

    def waiting():
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [load_job_wake_up(message["Body"]) for message in answer.get("Messages", [])]

    return SqsJobs(sqs, url), waiting


def job(number=1, owner="server#abcdefghij", **changes):
    whole = Job(
        id=f"job_{number:04d}",
        kind="count",
        owner=owner,
        created_by="user",
        created_at=NOW,
        parameters={"to": 5, "names": ["a", "ü"]},
        beat_at=NOW,
    )
    return replace(whole, **changes)


def test_a_job_is_read_as_it_was_written(jobs):
    whole = job(
        state=JobState.FAILED,
        checkpoint={"offset": 9},
        progress=Progress(3, 1, 10),
        result={"upload": "x"},
        error="no",
        tries=5,
        finished_at=NOW + 1,
    )
    assert jobs.create(whole)
    assert jobs.read(whole.id) == whole
    assert jobs.read("job_9999") is None


def test_an_id_is_taken_once(jobs):
    assert jobs.create(job())
    assert not jobs.create(job(kind="another"))
    assert jobs.read(job().id).kind == "count"


def test_only_the_version_that_was_read_can_be_saved(jobs):
    jobs.create(job())
    saved = jobs.save(job(checkpoint={"at": 1}))
    assert saved == job(checkpoint={"at": 1}, version=2)
    assert jobs.save(job(checkpoint={"at": 9})) is None
    assert jobs.read(job().id) == saved
    assert jobs.save(job(7)) is None


def test_an_owner_sees_its_jobs_newest_first(jobs):
    for number in range(5):
        jobs.create(job(number))
    jobs.create(job(9, owner="organisation#o"))
    first = jobs.page("server#abcdefghij", 3)
    rest = jobs.page("server#abcdefghij", 3, first.cursor)
    assert [each.id for each in [*first.items, *rest.items]] == [
        f"job_{number:04d}" for number in (4, 3, 2, 1, 0)
    ]
    assert rest.cursor == ""
    assert list(jobs.page("server#nobody", 3).items) == []
    with pytest.raises(ValueError):
        jobs.page("server#abcdefghij", 3, "nonsense")


def test_quiet_are_active_jobs_that_nobody_touched(jobs):
    jobs.create(job(1, beat_at=NOW - 5))
    jobs.create(job(2, beat_at=NOW - 9, state=JobState.RUNNING))
    jobs.create(job(3, beat_at=NOW + 9))
    jobs.create(job(4, beat_at=NOW - 9, state=JobState.PAUSED))
    assert list(jobs.quiet(NOW, 10)) == ["job_0002", "job_0001"]
    assert list(jobs.quiet(NOW, 1)) == ["job_0002"]
    jobs.save(job(2, state=JobState.DONE))
    assert list(jobs.quiet(NOW, 10)) == ["job_0001"]


def test_a_wake_up_names_the_job(queue):
    belt, waiting = queue
    belt.wake("job_0001")
    assert waiting() == ["job_0001"]


@pytest.mark.parametrize("body", ["{", "[]", "{}", json.dumps({"job": 1}), json.dumps({"job": ""})])
def test_other_messages_are_no_wake_ups(body):
    with pytest.raises((ValueError, KeyError, TypeError)):
        load_job_wake_up(body)


class WorkerDied(BaseException):
    """As if the process were gone: nothing catches it."""


def test_a_job_survives_its_worker(jobs, queue):
    belt, waiting = queue
    clock = FixedClock(NOW)
    ports = JobPorts(jobs, belt, clock)
    counted, deaths = set(), [3]

    def count(job, _now):
        at = job.checkpoint.get("at", 0)
        counted.add(at)  # what a step does may be done twice, never not at all
        if deaths and at == deaths[0]:
            deaths.pop()
            raise WorkerDied
        return StepResult({"at": at + 1}, done=1, total=6, finished=at == 5)

    kinds = {"count": count}
    start(NewJob("count", "server#abcdefghij", "user"), "job_0001", ports)
    assert waiting() == ["job_0001"]
    with pytest.raises(WorkerDied):
        work_on("job_0001", kinds, ports)
    stuck = jobs.read("job_0001")
    assert (stuck.state, stuck.progress.done) == (JobState.RUNNING, 3)
    assert revive_quiet(ports, clock.now()) == 0
    clock.at += STALE_SECONDS
    assert revive_quiet(ports, clock.now()) == 1
    assert revive_quiet(ports, clock.now()) == 0
    assert work_on("job_0001", kinds, ports).outcome is Outcome.ENDED
    done = jobs.read("job_0001")
    assert (done.state, done.progress) == (JobState.DONE, Progress(6, 0, 6))
    assert counted == set(range(6))
