"""Long files of suppressions in and out, whoever dies on the way."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.job import Job, JobState
from mailroom.domain.job_file import result_key, upload_key
from mailroom.domain.suppression import Reason, Suppression
from mailroom.fakes.files import MemoryFiles
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedClock
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.jobs import JobPorts, NewJob, run_step, start, work_on
from mailroom.usecases.suppression_import import (
    CHUNK,
    EXPORT,
    IMPORT,
    MAX_REPORTED,
    REPORT,
    FileLimits,
    FilePorts,
    export_step,
    import_step,
    part_name,
)

NOW = 1_760_000_000.0
OWNER = SCOPE = "server#s"
FILE = upload_key(OWNER, "upl_1")


class Stand:
    """A worker with its world."""

    def __init__(self, **limits):
        self.jobs = JobPorts(MemoryJobs(), MemoryJobQueue(), FixedClock(NOW))
        self.ports = FilePorts(
            MemorySuppressions(self.jobs.clock), MemoryFiles(), FileLimits(**limits)
        )
        self.kinds = {
            IMPORT: lambda job, now: import_step(job, now, self.ports),
            EXPORT: lambda job, now: export_step(job, now, self.ports),
        }

    def begin(self, kind, **parameters) -> Job:
        return start(NewJob(kind, OWNER, "user", parameters), "job_1", self.jobs)

    def run(self, octets: bytes | str | None = None, **parameters) -> Job:
        if octets is not None:
            given = octets.encode() if isinstance(octets, str) else octets
            self.ports.files.stored[FILE] = given
        self.begin(IMPORT, file=FILE, scope=SCOPE, reason="import", **parameters)
        return work_on("job_1", self.kinds, self.jobs).job

    def step(self):
        return run_step("job_1", self.kinds, self.jobs, self.jobs.clock.now())

    def file(self, name) -> list[list[str]]:
        text = self.ports.files.stored[result_key(OWNER, "job_1", name)].decode()
        return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
def stand():
    return Stand()


def test_good_lines_are_imported_and_bad_ones_named_by_number(stand):
    job = stand.run("email,created,reason\nann@x.test,1,\nnobody,1,\n\n=cmd@x,1,\nbob@x.test,1,\n")
    assert (job.state, job.progress.done, job.progress.failed) == (JobState.DONE, 2, 2)
    assert job.result == {
        "added": 2, "known": 0, "bad": 2, "product": "sendgrid", "lines": 6, "octets": 70,
    }  # fmt: skip
    assert stand.file(REPORT) == [
        ["line", "problem", "text"],
        ["3", "an address is written local@domain", "nobody,1,"],
        ["5", "the part after @ is not a domain name", "'=cmd@x,1,"],
    ]
    assert stand.ports.suppressions.get(SCOPE, "bob@x.test").source == "job job_1"


@pytest.mark.parametrize(
    ("octets", "form"),
    [
        (b"\xef\xbb\xbfaddress\r\nann@x.test\r\n", ""),
        (b"ann@x.test", "csv"),
        (b'{"email": "ann@x.test"}\n', ""),
        (b'\n{"email": "ann@x.test"}\n', "jsonl"),
        ("\xef\xbb\xbf".encode("latin-1") + b"ann@x.test\n", ""),
    ],
)
def test_the_form_is_found_out(stand, octets, form):
    assert stand.run(octets, format=form).result["added"] == 1
    assert stand.ports.suppressions.get(SCOPE, "ann@x.test").reason is Reason.IMPORT


def test_octets_that_are_no_text_are_one_bad_line(stand):
    job = stand.run(b"email\nann\xff@x.test\nbob@x.test\n")
    assert (job.result["added"], job.result["bad"]) == (1, 1)
    assert stand.file(REPORT)[1][:2] == ["2", "not UTF-8"]


@given(st.binary(max_size=300), st.sampled_from([b"", b"email,created\n", b'{"email":']))
def test_any_octets_are_imported_or_refused(octets, header):
    job = Stand().run(header + octets)
    assert job.state in {JobState.DONE, JobState.FAILED}
    assert "internal" not in job.error


@pytest.mark.parametrize(
    ("octets", "words"),
    [(b"name\nann\n", "no column"), (b"", "no column"), (None, "upload it first")],
)
def test_a_file_nobody_can_use_fails_at_once(stand, octets, words):
    job = stand.run(octets)
    assert job.state is JobState.FAILED
    assert words in job.error


def test_a_file_that_is_too_large_is_refused():
    assert "larger" in Stand(octets=10).run(b"email\nann@x.test\n").error


def test_a_file_with_too_many_lines_is_refused():
    assert "lines" in Stand(lines=2).run(b"email\nann@x.test\nbob@x.test\n").error


def long_file(lines, bad_every=0):
    rows = ("nobody" if bad_every and not n % bad_every else f"r{n}@x.test" for n in range(lines))
    return "email\n" + "".join(f"{row},\n" for row in rows).replace(",\n", "\n")


def test_a_long_file_is_read_in_ranges_and_its_line_numbers_stay_right(stand):
    job = stand.run(long_file(40_000, bad_every=9_999))
    assert len(stand.ports.files.stored[FILE]) > 2 * CHUNK
    assert (job.progress.done, job.progress.failed, job.progress.total) == (39_995, 5, 40_000)
    assert [row[0] for row in stand.file(REPORT)[1:]] == ["2", "10001", "20000", "29999", "39998"]


def test_only_the_first_thousand_bad_lines_are_reported_and_all_are_counted(stand):
    job = stand.run(long_file(60_000, bad_every=2))
    assert job.result["bad"] == 30_000
    assert len(stand.file(REPORT)) == MAX_REPORTED + 1


def test_a_step_that_is_repeated_changes_nothing(stand):
    stand.ports.files.stored[FILE] = long_file(40_000, bad_every=5_000).encode()
    stand.begin(IMPORT, file=FILE, scope=SCOPE, reason="import")
    stand.step()
    kept = stand.jobs.store.stored["job_1"]
    stand.step()
    stand.jobs.store.stored["job_1"] = kept  # as if the worker had died before it was written
    job = work_on("job_1", stand.kinds, stand.jobs).job
    assert (job.progress.done, job.progress.failed) == (39_992, 8)
    assert [row[0] for row in stand.file(REPORT)[1:]] == [str(n * 5_000 + 2) for n in range(8)]
    assert len(stand.ports.suppressions.rows) == 39_992


def test_what_is_known_already_is_counted_and_stays(stand):
    stronger = Suppression(SCOPE, Reason.COMPLAINT, "ann@x.test", NOW)
    stand.ports.suppressions.add(SCOPE, stronger)
    job = stand.run("email\nann@x.test\nbob@x.test\nbob@x.test\n")
    assert (job.result["added"], job.result["known"]) == (1, 2)
    assert stand.ports.suppressions.get(SCOPE, "ann@x.test") == stronger


def test_an_export_is_parts_that_can_be_imported():
    stand = Stand(part_rows=2_000)
    rows = [Suppression(SCOPE, Reason.MANUAL, f"r{n}@x.test", NOW) for n in range(2_500)]
    stand.ports.suppressions.add_many(SCOPE, rows)
    stand.ports.suppressions.erase(SCOPE, "r7@x.test")
    stand.begin(EXPORT, scope=SCOPE, reason="")
    job = work_on("job_1", stand.kinds, stand.jobs).job
    assert job.result == {"parts": 2, "rows": 2_499}
    assert (job.progress.done, job.progress.total) == (2_499, 2_499)
    exported = [row[0] for part in (1, 2) for row in stand.file(part_name(part))[1:]]
    assert sorted(exported) == sorted(f"r{n}@x.test" for n in range(2_500) if n != 7)


def test_an_export_can_be_of_one_reason(stand):
    for reason in Reason:
        stand.ports.suppressions.add(SCOPE, Suppression(SCOPE, reason, f"{reason}@x.test", NOW))
    stand.begin(EXPORT, scope=SCOPE, reason="complaint")
    assert work_on("job_1", stand.kinds, stand.jobs).job.result == {"parts": 1, "rows": 1}
    assert [row[0] for row in stand.file(part_name(1))[1:]] == ["complaint@x.test"]
