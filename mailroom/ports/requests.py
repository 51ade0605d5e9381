"""What is remembered of API requests: their answers for a day, and how many a key has made."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Standing(StrEnum):
    """What an idempotency key stands for."""

    NEW = "new"  # nobody has used it: go ahead
    RUNNING = "running"  # the first request with it is not answered yet
    DONE = "done"  # here is the answer
    OTHER = "other"  # it was used for another request


@dataclass(frozen=True, slots=True)
class Remembered:
    """The standing of a key, with the first answer when there is one."""

    standing: Standing
    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Answers(Protocol):
    """Answers of requests that carried an idempotency key. Kept for 24 hours."""

    def begin(self, owner: str, key: str, digest: str, now: float) -> Remembered:
        """Enter a request, known by its `digest`, under a caller's key; say how that stands.

        One that was begun and not finished within five minutes is begun anew.
        """

    def finish(self, owner: str, key: str, answer: Remembered, now: float) -> None:
        """Keep the answer of a request that `begin` called NEW."""

    def forget(self, owner: str, key: str) -> None:
        """Drop a request that failed in a way that a repetition may not."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key may still do: `remaining` requests until `resets_at` (Unix seconds)."""

    allowed: bool
    limit: int
    remaining: int
    resets_at: float


class RequestLimits(Protocol):
    """How many requests a key makes in a window of time, counted by all processes together."""

    def take(self, key: str, limit: int, window: float, now: float) -> Allowance:
        """Count one request. Approximate by a slice a process, never far over the limit."""
