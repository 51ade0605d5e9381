"""What a migration needs: a walk over all rows of a table in parts, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, and where the next ones begin: "" after the last."""

    items: Sequence[Any]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one part of a migration has come. `of` is into how many parts the table was cut."""

    of: int
    after: str = ""
    looked: int = 0
    changed: int = 0
    failed: int = 0
    finished: bool = False


class Walk(Protocol):
    """All rows of the directory table, cut into parts that can be walked side by side."""

    def batch(self, part: int, of: int, after: str) -> Batch:
        """Return the next Records of a part. A row that is no record is left out."""


class Work(Protocol):
    """One migration: rows, what is to be done to each, and doing it.

    Must bear repetition: a row that is done is planned as nothing.
    """

    name: str

    def batch(self, part: int, of: int, after: str) -> Batch:
        """Return the next rows of a part."""

    def plan(self, item: Any) -> Any:
        """Return what has to be done to a row, None for nothing.

        Raises MailroomError for a row that nothing can be done about.
        """

    def apply(self, planned: Any) -> None:
        """Do it. Raises ConflictError if somebody changed the row meanwhile."""


class Checkpoints(Protocol):
    """How far migrations have come, kept so that a stopped one goes on."""

    def read(self, name: str, part: int) -> Checkpoint | None:
        """Return how far a part of a migration is, None if it has not begun."""

    def keep(self, name: str, part: int, checkpoint: Checkpoint) -> None:
        """Write down how far a part is."""
