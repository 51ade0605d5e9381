"""Migrations in the abstract: batches, checkpoints, failures, and rows that others change."""

from dataclasses import dataclass, field

import pytest

from mailroom.domain.tenancy.record import Place
from mailroom.errors import NotFoundError
from mailroom.ports.migration import Batch, Checkpoint
from mailroom.ports.registry import ConflictError
from mailroom.usecases.migrate import Run, is_finished, resume, step


@dataclass
class Doubling:
    """Rows are numbers; the odd ones are to be doubled. Two in a batch."""

    rows: list[int]
    name: str = "doubling"
    conflicts: int = 0  # how often somebody else is faster
    hopeless: frozenset[int] = frozenset()
    applied: list[int] = field(default_factory=list)

    def batch(self, part: int, of: int, after: str) -> Batch:
        mine = list(range(part, len(self.rows), of))
        begin = int(after or 0)
        more = begin + 2 < len(mine)
        return Batch(mine[begin : begin + 2], str(begin + 2) if more else "")

    def plan(self, item: int) -> int | None:
        if self.rows[item] in self.hopeless:
            raise NotFoundError("nobody knows what this is")
        return item if self.rows[item] % 2 else None

    def apply(self, planned: int) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError(Place("x"))
        self.rows[planned] *= 2
        self.applied.append(planned)


class Kept(dict):
    """Checkpoints in memory."""

    def read(self, name, part):
        return self.get((name, part))

    def keep(self, name, part, checkpoint):
        self[name, part] = checkpoint


def walked(work, kept, *, of=1, dry=False, told=None):
    run = Run(of, dry, lambda item, error: (told if told is not None else []).append((item, error)))
    ends = []
    for part in range(of):
        at = resume(work, part, run, kept)
        while not at.finished:
            at = step(work, part, at, run, kept)
        ends.append(at)
    return ends


@pytest.mark.parametrize("of", [1, 2, 3, 7])
def test_every_row_is_looked_at_once_whatever_the_parts(of):
    work, kept = Doubling([1, 2, 3, 4, 5]), Kept()
    ends = walked(work, kept, of=of)
    assert sum(end.looked for end in ends) == 5
    assert sum(end.changed for end in ends) == 3
    assert work.rows == [2, 2, 6, 4, 10]
    assert is_finished(work, of, kept)
    assert not is_finished(work, of + 1, kept)


def test_a_stopped_part_goes_on_behind_its_last_batch():
    work, kept = Doubling([1, 1, 1, 1, 1]), Kept()
    run = Run(1, dry=False, complain=lambda *_: None)
    step(work, 0, resume(work, 0, run, kept), run, kept)
    assert kept["doubling", 0] == Checkpoint(1, "2", looked=2, changed=2)
    (end,) = walked(work, kept)
    assert (end.looked, end.changed) == (5, 5)
    assert work.applied == [0, 1, 2, 3, 4]


def test_another_number_of_parts_begins_anew_and_does_nothing_twice():
    work, kept = Doubling([1, 1, 1]), Kept()
    walked(work, kept)
    ends = walked(work, kept, of=2)
    assert (sum(e.looked for e in ends), sum(e.changed for e in ends)) == (3, 0)


def test_a_dry_run_counts_and_keeps_nothing():
    work, kept = Doubling([1, 2, 3]), Kept()
    (end,) = walked(work, kept, dry=True)
    assert (end.changed, work.rows, kept) == (2, [1, 2, 3], {})


def test_a_row_that_somebody_changes_is_planned_again():
    work, kept, told = Doubling([1], conflicts=4), Kept(), []
    assert walked(work, kept, told=told)[0].changed == 1
    assert told == []


def test_a_row_that_is_never_left_alone_is_told_and_tried_on_the_next_run():
    work, kept, told = Doubling([1, 3], conflicts=5), Kept(), []
    (end,) = walked(work, kept, told=told)
    assert (end.changed, end.failed) == (1, 1)
    assert [type(error) for _, error in told] == [ConflictError]
    assert not is_finished(work, 1, kept)
    (again,) = walked(work, kept)
    assert (again.changed, again.failed) == (1, 0)
    assert is_finished(work, 1, kept)


def test_a_row_nothing_can_be_done_about_does_not_stop_the_others():
    work, kept, told = Doubling([1, 9, 3], hopeless=frozenset({9})), Kept(), []
    (end,) = walked(work, kept, told=told)
    assert (end.changed, end.failed, end.finished) == (2, 1, True)
    assert told[0][0] == 1
