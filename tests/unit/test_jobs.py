"""Jobs: their moves, and what a worker does with errors, people and other workers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.job import (
    ACTIVE,
    MAX_TRIES,
    STALE_SECONDS,
    Job,
    JobState,
    Progress,
    StepResult,
    after_error,
    after_step,
    back_off,
    cancel,
    claim,
    pause,
    resume,
    revive,
)
from mailroom.errors import ConflictingJobError, HandOverError
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedClock
from mailroom.usecases.jobs import (
    MAX_ACTIVE,
    BrokenJobError,
    JobNotFoundError,
    JobPorts,
    NewJob,
    Outcome,
    TooManyJobsError,
    cancel_job,
    pause_job,
    resume_job,
    revive_quiet,
    run_step,
    start,
    work_on,
)

NOW = 1_760_000_000.0
OWNER = "organisation#o"
ONE_STEP = StepResult({"at": 1}, done=2, failed=1, total=9, result={"file": "x"})


def job(state=JobState.QUEUED, **changes):
    whole = Job("job_1", "count", OWNER, "user", NOW, state=state, beat_at=NOW)
    return replace(whole, **changes)


@pytest.mark.parametrize("state", JobState)
def test_only_a_queued_or_an_abandoned_job_can_be_claimed(state):
    assert (claim(job(state), NOW) is not None) == (state is JobState.QUEUED)
    late = claim(job(state), NOW + STALE_SECONDS)
    assert (late is not None) == (state in ACTIVE)
    assert claim(job(beat_at=NOW + 5), NOW) is None  # it rests


def test_a_step_moves_the_checkpoint_and_adds_to_the_progress():
    first = after_step(job(JobState.RUNNING), ONE_STEP, NOW + 1)
    again = after_step(
        replace(first, state=JobState.RUNNING), StepResult({"at": 2}, done=1), NOW + 2
    )
    assert first.state is JobState.QUEUED
    assert (again.checkpoint, again.progress) == ({"at": 2}, Progress(3, 1, 9))
    assert again.result == {"file": "x"}
    with pytest.raises(ValueError):
        after_step(job(JobState.RUNNING), StepResult({"big": "x" * 70_000}), NOW)


@pytest.mark.parametrize("state", [JobState.PAUSED, JobState.CANCELLED])
def test_a_person_s_word_outlasts_the_step_it_came_in(state):
    assert after_step(job(state), ONE_STEP, NOW).state is state
    assert after_step(job(state), ONE_STEP, NOW).progress.done == 2
    assert after_error(job(state), "no", NOW).state is state


def test_the_last_step_of_a_paused_job_still_ends_it():
    assert after_step(job(JobState.PAUSED), StepResult(finished=True), NOW).state is JobState.DONE


def test_errors_in_a_row_make_it_rest_longer_and_then_fail():
    tried = job()
    for number in range(1, MAX_TRIES):
        tried = after_error(replace(tried, state=JobState.RUNNING), "no", NOW)
        assert (tried.state, tried.tries) == (JobState.QUEUED, number)
        assert tried.beat_at == NOW + back_off(number)
    tried = after_error(replace(tried, state=JobState.RUNNING), "no", NOW)
    assert (tried.state, tried.error, tried.finished_at) == (JobState.FAILED, "no", NOW)
    assert after_step(replace(tried, state=JobState.RUNNING), ONE_STEP, NOW).tries == 0


@pytest.mark.parametrize("state", JobState)
def test_which_moves_a_person_has(state):
    def refused(move):
        try:
            move(job(state), NOW)
        except ValueError:
            return True
        return False

    assert refused(cancel) == (state in {JobState.DONE, JobState.FAILED})
    assert refused(pause) == job(state).has_ended
    assert refused(resume) == (state in {JobState.DONE, JobState.CANCELLED})
    assert (revive(job(state), NOW + STALE_SECONDS) is not None) == (state in ACTIVE)


@given(st.lists(st.sampled_from(["step", "last", "error", "pause", "resume", "cancel", "late"])))
def test_an_ended_job_stays_ended_but_for_a_failed_one_that_is_resumed(moves):
    one, now = job(), NOW
    table = {
        "step": lambda j: after_step(claim(j, now), ONE_STEP, now) if claim(j, now) else j,
        "last": lambda j: (
            after_step(claim(j, now), StepResult(finished=True), now) if claim(j, now) else j
        ),
        "error": lambda j: after_error(claim(j, now), "no", now) if claim(j, now) else j,
        "pause": lambda j: pause(j, now),
        "resume": lambda j: resume(j, now),
        "cancel": lambda j: cancel(j, now),
        "late": lambda j: revive(j, now) or j,
    }
    for name in moves:
        now += 500.0
        before = one
        try:
            one = table[name](one)
        except ValueError:
            continue
        if before.has_ended and one.state is not before.state:
            assert (before.state, name) == (JobState.FAILED, "resume")
        assert (one.finished_at is not None) == one.has_ended


@pytest.fixture
def ports():
    return JobPorts(MemoryJobs(), MemoryJobQueue(), FixedClock(NOW))


def begin(ports, id_="job_1"):
    return start(NewJob("count", OWNER, "user", {"to": 3}), id_, ports)


def count(job, _now):
    at = job.checkpoint.get("at", 0) + 1
    return StepResult({"at": at}, done=1, finished=at == job.parameters["to"])


def test_a_job_is_worked_on_until_it_is_done(ports):
    begin(ports)
    tried = work_on("job_1", {"count": count}, ports)
    assert (tried.outcome, tried.job.progress.done) == (Outcome.ENDED, 3)
    assert ports.queue.woken == [("job_1", 0.0)]
    assert work_on("job_1", {"count": count}, ports).outcome is Outcome.IDLE
    assert work_on("job_2", {"count": count}, ports).outcome is Outcome.IDLE


def test_a_worker_makes_room_after_its_time_and_wakes_the_next(ports):
    begin(ports)

    def slow(job, now):
        ports.clock.at += 6
        return count(job, now)

    tried = work_on("job_1", {"count": slow}, ports, seconds=10.0)
    assert (tried.outcome, tried.job.progress.done) == (Outcome.AGAIN, 2)
    assert ports.queue.woken[1:] == [("job_1", 0.0)]


def test_an_error_is_tried_again_later_and_its_text_stays_inside(ports):
    begin(ports)

    def broken(_job, _now):
        raise RuntimeError("table arn:secret is on fire")

    for number in range(1, MAX_TRIES + 1):
        tried = work_on("job_1", {"count": broken}, ports)
        assert "fire" in tried.problem
        assert tried.job.error == "an internal error (RuntimeError)"
        if number < MAX_TRIES:
            assert tried.outcome is Outcome.RESTS
            assert ports.queue.woken[-1] == ("job_1", back_off(number))
            assert run_step("job_1", {"count": count}, ports, ports.clock.now()).outcome is (
                Outcome.IDLE
            )
            ports.clock.at += back_off(number)
    assert (tried.outcome, tried.job.state) == (Outcome.ENDED, JobState.FAILED)
    resume_job("job_1", ports)
    assert work_on("job_1", {"count": count}, ports).outcome is Outcome.ENDED


def test_a_job_that_can_never_work_fails_at_once_and_says_why(ports):
    begin(ports)

    def hopeless(_job, _now):
        raise BrokenJobError("the upload is gone")

    tried = work_on("job_1", {"count": hopeless}, ports)
    assert (tried.job.state, tried.job.error) == (JobState.FAILED, "the upload is gone")


def test_a_kind_nobody_knows_waits_for_somebody_who_does(ports):
    begin(ports)
    assert work_on("job_1", {}, ports).outcome is Outcome.RESTS


@pytest.mark.parametrize(
    ("stop", "state"), [(cancel_job, JobState.CANCELLED), (pause_job, JobState.PAUSED)]
)
def test_a_person_can_stop_a_job_between_two_steps(ports, stop, state):
    begin(ports)

    def stopped(job, now):
        stop("job_1", ports)
        return count(job, now)

    tried = work_on("job_1", {"count": stopped}, ports)
    assert tried.job.state is state
    assert ports.store.read("job_1").progress.done == 1  # the step it was in is written down
    assert ports.queue.woken == [("job_1", 0.0)]


def test_a_paused_job_goes_on_where_it_was(ports):
    begin(ports)
    run_step("job_1", {"count": count}, ports, NOW)
    pause_job("job_1", ports)
    assert work_on("job_1", {"count": count}, ports).outcome is Outcome.IDLE
    resume_job("job_1", ports)
    assert ports.queue.woken[1:] == [("job_1", 0.0)]
    assert work_on("job_1", {"count": count}, ports).job.progress.done == 3


def test_what_a_worker_did_after_another_took_over_is_not_written(ports):
    begin(ports)

    def slept(job, now):
        ports.clock.at += STALE_SECONDS
        assert revive_quiet(ports, ports.clock.now()) == 1
        assert run_step("job_1", {"count": count}, ports, ports.clock.now()).outcome is (
            Outcome.AGAIN
        )
        return count(job, now)

    assert run_step("job_1", {"count": slept}, ports, NOW).outcome is Outcome.IDLE
    assert ports.store.read("job_1").progress.done == 1


def test_mistakes_of_people_have_names(ports):
    for call in (cancel_job, pause_job, resume_job):
        with pytest.raises(JobNotFoundError):
            call("job_1", ports)
    begin(ports)
    cancel_job("job_1", ports)
    assert cancel_job("job_1", ports).state is JobState.CANCELLED
    with pytest.raises(ConflictingJobError):
        resume_job("job_1", ports)


def test_an_owner_has_so_many_jobs_at_a_time(ports):
    for number in range(MAX_ACTIVE):
        begin(ports, f"job_{number:02d}")
    with pytest.raises(TooManyJobsError):
        begin(ports, "job_99")
    cancel_job("job_03", ports)
    begin(ports, "job_99")


def test_a_queue_that_cannot_be_reached_delays_a_job_and_loses_none(ports):
    ports.queue.broken = True
    begin(ports)
    with pytest.raises(HandOverError):
        work_on("job_1", {"count": count}, ports, seconds=-1.0)
    ports.queue.broken = False
    assert revive_quiet(ports, NOW + STALE_SECONDS) == 1
    assert ports.queue.woken == [("job_1", 0.0)]
