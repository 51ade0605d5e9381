"""The JobStore port on DynamoDB.

A job is one row, found by its id; a second row lists it under its owner. The row is in the index
`running` for as long as the job is active, under the time it was last touched.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from zlib import crc32

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError
from pynamodb.indexes import GlobalSecondaryIndex, KeysOnlyProjection

from mailroom.adapters.names import SHARDS
from mailroom.adapters.tables import Row, bound
from mailroom.domain.job import ACTIVE, Job, JobState, Progress
from mailroom.ports.jobs import JobPage
from mailroom.settings import Settings

KEEP_SECONDS = 90 * 86_400
_LIST_SECONDS = 120 * 86_400  # the list may name a job that is gone, never the reverse
_MS = 1000
_SORT = "-"


class JobRow(Row):
    """`job#<id>` / `-`: the job as JSON, and beside it what conditions and the index look at."""

    json = UnicodeAttribute()
    ver = NumberAttribute()
    run_shard = UnicodeAttribute(null=True)
    beat_at = NumberAttribute(null=True)


class JobListRow(Row):
    """`<owner>` / `<id>`: an owner has this job."""


class RunningIndex(GlobalSecondaryIndex[JobRow]):  # type: ignore[no-untyped-call]  # pynamodb
    """Active jobs by when they were last touched. Sparse: a job at rest is not in it."""

    class Meta:
        """Its name in `infra/resources.json`."""

        index_name = "running"
        projection = KeysOnlyProjection()

    run_shard = UnicodeAttribute(hash_key=True)
    beat_at = NumberAttribute(range_key=True)


class DynamoJobs:
    """Jobs, written on condition that nobody was faster."""

    def __init__(self, settings: Settings) -> None:
        name = settings.resource("table", "jobs")
        self._rows = bound(JobRow, name, running=RunningIndex())
        self._lists = bound(JobListRow, name)

    def create(self, job: Job) -> bool:
        """See JobStore.create. The list comes first: a job that no list names would be lost."""
        listed = self._lists(job.owner, job.id)
        listed.ttl = int(job.created_at) + _LIST_SECONDS
        listed.save()
        return self._put(_row(self._rows, job, job.version), self._rows.pk.does_not_exist())

    def read(self, id_: str) -> Job | None:
        """See JobStore.read."""
        try:
            return _load(self._rows.get(f"job#{id_}", _SORT, consistent_read=True))
        except self._rows.DoesNotExist:
            return None

    def page(self, owner: str, limit: int, cursor: str = "") -> JobPage:
        """See JobStore.page. One query, then one read of the jobs themselves."""
        if cursor and not cursor.startswith("job_"):
            raise ValueError("there is no such cursor")
        before = self._lists.sk < cursor if cursor else self._lists.sk.startswith("job_")
        listed = self._lists.query(owner, before, scan_index_forward=False, limit=limit)
        ids = [row.sk for row in listed]
        found = {job.id: job for job in self._read_many(ids)}
        items = [found[id_] for id_ in ids if id_ in found]
        return JobPage(items, ids[-1] if len(ids) == limit else "")

    def save(self, job: Job) -> Job | None:
        """See JobStore.save."""
        row = _row(self._rows, job, job.version + 1)
        return _load(row) if self._put(row, self._rows.ver == job.version) else None

    def quiet(self, before: float, limit: int) -> Sequence[str]:
        """See JobStore.quiet."""
        found: list[JobRow] = []
        for shard in range(SHARDS):
            found += self._rows.query(
                str(shard),
                self._rows.beat_at <= round(before * _MS),
                index_name="running",
                limit=limit,
            )
        found.sort(key=lambda row: row.beat_at)
        return [row.pk.removeprefix("job#") for row in found[:limit]]

    def _read_many(self, ids: Sequence[str]) -> Sequence[Job]:
        return [_load(row) for row in self._rows.batch_get([(f"job#{id_}", _SORT) for id_ in ids])]

    def _put(self, row: JobRow, condition: Any) -> bool:
        try:
            row.save(condition=condition)
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True


def _row(rows: type[JobRow], job: Job, version: int) -> JobRow:
    row = rows(f"job#{job.id}", _SORT)
    stored = {name: value for name, value in asdict(job).items() if name not in ("id", "version")}
    row.json, row.ver = json.dumps(stored, separators=(",", ":")), version
    if job.state in ACTIVE:
        row.run_shard, row.beat_at = str(crc32(job.id.encode()) % SHARDS), round(job.beat_at * _MS)
    row.ttl = int(job.beat_at or job.created_at) + KEEP_SECONDS
    return row


def _load(row: JobRow) -> Job:
    stored = json.loads(row.json)
    stored["state"] = JobState(stored["state"])
    stored["progress"] = Progress(**stored["progress"])
    return Job(id=row.pk.removeprefix("job#"), version=int(row.ver), **stored)
