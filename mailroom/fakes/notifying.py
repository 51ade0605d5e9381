"""In-memory ports of the way out to webhooks: the queue, its history, endpoints, statistics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mailroom.domain.message import ServerId
from mailroom.errors import HandOverError
from mailroom.ports import Answer, Notification


@dataclass(slots=True)
class MemoryNotifications:
    """The Notifications port; `queued` shows each call with its delay, `tries` the history."""

    queued: list[tuple[Notification, float]] = field(default_factory=list)
    tries: list[tuple[Notification, float, Answer]] = field(default_factory=list)
    broken: bool = False  # as if the queue could not be reached

    def enqueue(self, notifications: Sequence[Notification], *, delay: float = 0.0) -> None:
        """See Notifications.enqueue. Raises HandOverError while `broken`."""
        if self.broken:
            raise HandOverError("the webhook queue is broken")
        self.queued += [(each, min(900.0, max(0.0, delay))) for each in notifications]

    def remember(self, notification: Notification, *, at: float, answer: Answer) -> None:
        """See Notifications.remember."""
        self.tries.append((notification, at, answer))

    def history(
        self, server: ServerId, webhook: str, limit: int = 50
    ) -> list[tuple[Notification, Answer]]:
        """Return the newest `limit` tries of a webhook and what came of them, newest first."""
        found = [
            (made, answer)
            for made, _, answer in sorted(self.tries, key=lambda entry: entry[1], reverse=True)
            if (made.server, made.webhook) == (server, webhook)
        ]
        return found[:limit]


class MemoryCounters:
    """The Counters port; `updates` counts the calls, which are what costs."""

    def __init__(self) -> None:
        self.updates = 0
        self._sums: dict[tuple[ServerId, int], dict[str, int]] = {}

    def add(self, server: ServerId, hour: int, counts: Mapping[str, int]) -> None:
        """See Counters.add."""
        self.updates += 1
        sums = self._sums.setdefault((server, hour), {})
        for name, count in counts.items():
            sums[name] = sums.get(name, 0) + count

    def total(self, server: ServerId, hour: int) -> dict[str, int]:
        """Return the sums of one server and hour."""
        return dict(self._sums.get((server, hour), {}))


class ScriptedEndpoint:
    """The Endpoint port: gives the answers it was told, then the last one again."""

    def __init__(self, answers: Iterable[Answer] = (Answer(200),)) -> None:
        self._answers = list(answers)
        self.calls: list[tuple[str, bytes, dict[str, str]]] = []

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """See Endpoint.post."""
        self.calls.append((url, body, headers))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
