"""Bring stored rows to the shape of this release: part by part, resumable, repeatable.

A part (a segment of the table) is walked batch by batch and its checkpoint written after each, so
that a stopped migration goes on where it was. Rows are planned and then written on condition that
they are as planned for; the platform may run meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mailroom.errors import MailroomError
from mailroom.ports.migration import Checkpoint, Checkpoints, Work
from mailroom.ports.registry import ConflictError

_TRIES = 5  # of a row that somebody else changes at this very moment
MAX_PARTS = 64

Complain = Callable[[object, Exception], None]


@dataclass(frozen=True, slots=True)
class Run:
    """How a migration is run: in `of` parts; `dry` writes nothing, not even checkpoints.

    `complain` hears of each row that nothing could be done about.
    """

    of: int
    dry: bool
    complain: Complain


def resume(work: Work, part: int, run: Run, checkpoints: Checkpoints) -> Checkpoint:
    """Return where a part goes on: at its checkpoint, or at the beginning.

    A migration that was cut into another number of parts, or that had failures when it was
    finished, begins anew; so does a dry run.
    """
    kept = None if run.dry else checkpoints.read(work.name, part)
    if kept is None or kept.of != run.of or (kept.finished and kept.failed):
        return Checkpoint(run.of)
    return kept


def step(
    work: Work, part: int, before: Checkpoint, run: Run, checkpoints: Checkpoints
) -> Checkpoint:
    """Do the next batch of a part and return how far it is then."""
    batch = work.batch(part, run.of, before.after)
    changed = failed = 0
    for item in batch.items:
        try:
            changed += _migrated(work, item, run)
        except (MailroomError, ConflictError, ValueError, KeyError) as error:
            failed += 1
            run.complain(item, error)
    after = replace(
        before,
        after=batch.after,
        looked=before.looked + len(batch.items),
        changed=before.changed + changed,
        failed=before.failed + failed,
        finished=not batch.after,
    )
    if not run.dry:
        checkpoints.keep(work.name, part, after)
    return after


def _migrated(work: Work, item: object, run: Run) -> int:
    for left in reversed(range(_TRIES)):
        planned = work.plan(item)
        if planned is None:
            return 0
        if run.dry:
            return 1
        try:
            work.apply(planned)
        except ConflictError:
            if not left:
                raise
        else:
            return 1
    return 0


def is_finished(work: Work, of: int, checkpoints: Checkpoints) -> bool:
    """Say whether all parts were walked to their end without a failure."""
    kept = [checkpoints.read(work.name, part) for part in range(of)]
    return all(each and each.finished and not each.failed and each.of == of for each in kept)
