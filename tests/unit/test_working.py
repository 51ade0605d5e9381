"""The worker's Lambda, and the tick that revives what lost its worker."""

import json

import pytest
from mail_scheduler.ticking import tick
from mail_scheduler.working import revive, work

from mailroom.domain.job import STALE_SECONDS, JobState, StepResult
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedClock, MemoryLane, MemoryLedger
from mailroom.usecases.jobs import JobPorts, NewJob, start
from mailroom.usecases.reconcile import ReconcilePorts

NOW = 1_760_000_000.0


@pytest.fixture
def ports():
    ports = JobPorts(MemoryJobs(), MemoryJobQueue(), FixedClock(NOW))
    start(NewJob("count", "server#s", "user"), "job_1", ports)
    return ports


def records(*bodies):
    return {"Records": [{"messageId": str(at), "body": body} for at, body in enumerate(bodies)]}


def wake_up(id_="job_1"):
    return json.dumps({"v": 1, "job": id_})


def count(job, _now):
    return StepResult({}, done=2, failed=1, finished=True)


def test_a_wake_up_is_worked_on_and_writes_one_line(ports, capsys):
    assert work(records(wake_up()), {"count": count}, ports) == {"batchItemFailures": []}
    assert ports.store.read("job_1").state is JobState.DONE
    line = json.loads(capsys.readouterr().err)
    told = {name: line[name] for name in ("function", "job", "outcome", "kind", "done", "bad")}
    assert told == {
        "function": "work",
        "job": "job_1",
        "outcome": "ended",
        "kind": "count",
        "done": 2,
        "bad": 1,
    }


def test_an_error_in_a_step_is_in_the_log_and_not_the_queue_s(ports, capsys):
    def broken(_job, _now):
        raise RuntimeError("fire")

    assert work(records(wake_up()), {"count": broken}, ports) == {"batchItemFailures": []}
    assert json.loads(capsys.readouterr().err)["problem"] == "RuntimeError: fire"
    assert ports.queue.woken[1:] == [("job_1", 15.0)]


def test_what_is_no_wake_up_ends_in_the_dead_letter_queue(ports):
    with pytest.raises(ValueError):
        work(records("{"), {}, ports)


def test_a_wake_up_of_no_job_is_settled(ports, capsys):
    work(records(wake_up("job_2")), {}, ports)
    assert json.loads(capsys.readouterr().err)["outcome"] == "idle"


def test_a_tick_revives_a_job_whose_wake_up_was_lost(ports, capsys):
    ledger = MemoryLedger()
    mail = ReconcilePorts(ledger, ledger, MemoryLane())
    late = NOW + STALE_SECONDS
    counts = tick({"now": late}, mail, others=[lambda now: revive(ports, now)])
    assert counts["revived"] == 1
    assert ports.queue.woken == [("job_1", 0.0)] * 2
