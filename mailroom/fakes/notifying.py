"""In-memory ports of the way out to webhooks: queue, history, endpoints, gates, statistics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from mailroom.domain.breaker import Gate
from mailroom.domain.event import Event
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.redaction import redact_url
from mailroom.domain.statistic import FirstView
from mailroom.domain.visit import is_person
from mailroom.errors import HandOverError
from mailroom.ports import Answer, Notification, Try, TryPage


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

    def page(self, server: ServerId, webhook: str, *, limit: int, cursor: str = "") -> TryPage:
        """See NotificationHistory.page. A cursor is how many older tries there are."""
        if cursor and not cursor.isdecimal():
            raise ValueError("there is no such cursor")
        found = self._of(server, webhook)
        end = int(cursor) if cursor else len(found)
        start = max(0, end - limit)
        return TryPage(found[start:end][::-1], str(start) if start else "")

    def find(self, server: ServerId, webhook: str, uuid: str) -> Try | None:
        """See NotificationHistory.find."""
        found = self._of(server, webhook)[::-1]
        return next((each for each in found if each.made.uuid == uuid), None)

    def since(self, server: ServerId, webhook: str, at: float, *, limit: int) -> Sequence[Try]:
        """See NotificationHistory.since."""
        return [each for each in self._of(server, webhook) if each.at >= at][:limit]

    def _of(self, server: ServerId, webhook: str) -> list[Try]:
        """Return the tries of a webhook, oldest first, as a history keeps them."""
        return [
            Try(replace(made, url=redact_url(made.url)), at, answer)
            for made, at, answer in sorted(self.tries, key=lambda entry: entry[1])
            if (made.server, made.webhook) == (server, webhook)
        ]


class MemoryGates:
    """The Gates port; `writes` counts what would cost."""

    def __init__(self) -> None:
        self.writes = 0
        self.gates: dict[str, tuple[Gate, int]] = {}

    def read(self, name: str) -> tuple[Gate, int]:
        """See Gates.read."""
        return self.gates.get(name, (Gate(), 0))

    def swap(self, name: str, gate: Gate, version: int) -> bool:
        """See Gates.swap."""
        if self.read(name)[1] != version:
            return False
        self.writes += 1
        self.gates[name] = (gate, version + 1)
        return True


class MemoryTopic:
    """The Topic port; `published` shows ARN, text and attributes of each message."""

    def __init__(self, answer: Answer = Answer(200)) -> None:  # noqa: B008  # frozen
        self.answer = answer
        self.published: list[tuple[str, str, dict[str, str]]] = []

    def publish(self, arn: str, text: str, attributes: dict[str, str]) -> Answer:
        """See Topic.publish."""
        self.published.append((arn, text, attributes))
        return self.answer


class MemoryFirstViews:
    """The FirstViews port."""

    def __init__(self) -> None:
        self._first: dict[tuple[DeliveryKey, str, bool], str] = {}

    def first_view(self, event: Event) -> FirstView:
        """See FirstViews.first_view."""
        if event.view is None:
            return FirstView()
        human = is_person(event.view) and self._enter(event, human=True)
        return FirstView(hit=self._enter(event, human=False), human=human)

    def _enter(self, event: Event, *, human: bool) -> bool:
        return self._first.setdefault((event.key, event.type, human), event.id) == event.id


class ScriptedEndpoint:
    """The Endpoint port: gives the answers it was told, then the last one again."""

    def __init__(self, answers: Iterable[Answer] = (Answer(200),)) -> None:
        self._answers = list(answers)
        self.calls: list[tuple[str, bytes, dict[str, str]]] = []

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """See Endpoint.post."""
        self.calls.append((url, body, headers))
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
