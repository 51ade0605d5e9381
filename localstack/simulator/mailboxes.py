"""What the simulated world has received: one entry a recipient, kept on disk, newest 50,000.

The index is a journal, the messages are .eml files beside it, one a transaction. The file is
written before the entry that points to it, so a crash leaves garbage and never a dangling entry.
"""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from localstack.simulator.contents import read_subject_and_id
from localstack.simulator.journal import Journal

KEEP = 50_000
PENDING = "pending"

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Envelope:
    """How a message came in. `tls` is the protocol version, empty for clear text."""

    mail_from: str
    mx_host: str
    peer: str
    helo: str
    tls: str
    cipher: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message in one mailbox. `received_at` is ISO 8601 in UTC, `size` octets.

    Ids sort in the order of arrival and are never used twice, not even after a restart.
    """

    id: str
    to: str
    mail_from: str
    subject: str
    message_id: str
    received_at: str
    size: int
    mx_host: str
    peer: str
    helo: str
    tls: str
    cipher: str
    body_file: str
    dkim: str = PENDING
    dkim_reason: str = ""


_FIELDS = frozenset(field.name for field in fields(StoredMessage))


class Mailboxes:
    """All mailboxes of the simulator. Opening the same folder again finds the same mail."""

    def __init__(self, folder: Path, *, keep: int = KEEP) -> None:
        """Open or make the store in `folder`."""
        self._raw = folder / "raw"
        self._raw.mkdir(parents=True, exist_ok=True)
        self._keep = keep
        self._journal = Journal(folder / "messages.jsonl")
        self._messages: dict[str, StoredMessage] = {}
        self._order: deque[str] = deque()
        self._by_address: dict[str, deque[str]] = {}
        self._seen: Counter[tuple[str, str]] = Counter()
        self._shared: Counter[str] = Counter()
        self._last_id = 0
        self._lines = 0
        self._load()

    def __len__(self) -> int:
        return len(self._messages)

    def store(self, envelope: Envelope, recipients: Sequence[str], raw: bytes) -> list[str]:
        """Keep `raw` for each recipient; return the new ids. Durable when this returns.

        Raises OSError, for instance with a full disk; then nothing is in any mailbox.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        body_file = f"{self._next_id()}.eml"
        path = self._raw / body_file
        try:
            path.write_bytes(raw)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        subject, message_id = read_subject_and_id(raw)
        template = StoredMessage(
            id="",
            to="",
            subject=subject,
            message_id=message_id,
            received_at=now,
            size=len(raw),
            body_file=body_file,
            **asdict(envelope),
        )
        copies = [replace(template, id=self._next_id(), to=each) for each in recipients]
        self._append(*map(asdict, copies))
        for message in copies:
            self._remember(message)
        self._forget_oldest()
        return [message.id for message in copies]

    def get(self, message_id: str) -> StoredMessage | None:
        """Return the message with this id of ours (not the Message-ID)."""
        return self._messages.get(message_id)

    def raw(self, message: StoredMessage) -> bytes:
        """The message as it came. Raises FileNotFoundError when it was deleted meanwhile."""
        return (self._raw / message.body_file).read_bytes()

    def has_received(self, recipient: str, message_id: str) -> bool:
        """Whether this Message-ID lies in this recipient's mailbox."""
        return bool(message_id) and self._seen[recipient.lower(), message_id] > 0

    def copies_of(self, message: StoredMessage) -> int:
        """How often this Message-ID lies in this message's mailbox."""
        return self._seen[message.to.lower(), message.message_id]

    def newest(
        self, *, to: str = "", since: str = "", until: str = "", before: str = "", limit: int
    ) -> list[StoredMessage]:
        """At most `limit` messages, newest first, with `before` only those that came before the
        one with that id. For the rest see `count`.
        """
        found = self._matching(to, since, until)
        return _first(limit, (each for each in found if not before or each.id < before))

    def following(
        self, after: str, *, to: str = "", since: str = "", until: str = "", limit: int
    ) -> list[StoredMessage]:
        """At most `limit` messages that came after the one with id `after`, oldest first."""
        found = self._matching(to, since, until)
        newer = list(takewhile(lambda each: each.id > after, found))
        return newer[::-1][:limit]

    def count(self, to: str = "", *, since: str = "", until: str = "") -> int:
        """How many messages there are: for the address `to`, or if it has no `@`, for all
        addresses that begin with it; received at or after `since` and before `until`, which are
        times as in `received_at`. What is empty does not matter.
        """
        if not (to or since or until):
            return len(self)
        return sum(1 for _ in self._matching(to, since, until))

    def copies(self, to: str = "", *, since: str = "", until: str = "") -> dict[str, int]:
        """How many messages each address has received, the filters as for `count`."""
        return dict(Counter(each.to.lower() for each in self._matching(to, since, until)))

    def record_verdict(self, message_id: str, dkim: str, reason: str) -> StoredMessage | None:
        """Note what DKIM verification found; None when the message was deleted meanwhile."""
        message = self._messages.get(message_id)
        if message is None:
            return None
        self._append({"id": message_id, "dkim": dkim, "dkim_reason": reason})
        self._messages[message_id] = replace(message, dkim=dkim, dkim_reason=reason)
        return self._messages[message_id]

    def clear(self) -> int:
        """Delete every message; return how many there were."""
        deleted = len(self)
        self._journal.replace([])
        self._lines = 0
        while self._order:
            self._forget(self._order.popleft())
        return deleted

    def close(self) -> None:
        """Close the files."""
        self._journal.close()

    def _load(self) -> None:
        for entry in self._journal.entries():
            self._lines += 1
            self._replay(entry)
        self._forget_oldest()
        for stray in self._raw.iterdir():
            if stray.name not in self._shared:
                stray.unlink()

    def _replay(self, entry: dict[str, Any]) -> None:
        earlier = self._messages.get(str(entry.get("id")))
        if earlier is not None:
            verdict, reason = str(entry.get("dkim", PENDING)), str(entry.get("dkim_reason", ""))
            self._messages[earlier.id] = replace(earlier, dkim=verdict, dkim_reason=reason)
        elif set(entry) == _FIELDS and (self._raw / str(entry["body_file"])).is_file():
            self._remember(StoredMessage(**entry))

    def _append(self, *entries: dict[str, Any]) -> None:
        self._journal.append(*entries)
        self._lines += len(entries)

    def _remember(self, message: StoredMessage) -> None:
        self._messages[message.id] = message
        self._order.append(message.id)
        self._by_address.setdefault(message.to.lower(), deque()).append(message.id)
        self._shared[message.body_file] += 1
        self._seen[message.to.lower(), message.message_id] += 1
        self._last_id = max(self._last_id, int(message.id, 16))

    def _forget_oldest(self) -> None:
        while len(self._order) > self._keep:
            self._forget(self._order.popleft())
        # Two lines a message (arrival, verdict) are normal; beyond twice that most is history.
        if self._lines > 4 * max(self._keep, 1):
            self._journal.replace(asdict(self._messages[each]) for each in self._order)
            self._lines = len(self._order)

    def _forget(self, message_id: str) -> None:
        message = self._messages.pop(message_id)
        # The oldest of all is the oldest of its address.
        mine = self._by_address[message.to.lower()]
        mine.popleft()
        if not mine:
            del self._by_address[message.to.lower()]
        _take_one(self._seen, (message.to.lower(), message.message_id))
        _take_one(self._shared, message.body_file)
        if message.body_file not in self._shared:
            (self._raw / message.body_file).unlink(missing_ok=True)

    def _matching(self, to: str, since: str, until: str) -> Iterator[StoredMessage]:
        """Yield what the filters of `count` let through, newest first."""
        wanted = to.lower()
        ids = self._by_address.get(wanted, ()) if "@" in wanted else self._order
        for each in reversed(ids):
            message = self._messages[each]
            if since and message.received_at < since:
                # Ids and times grow together, but for a clock that was set back.
                continue
            if until and message.received_at >= until:
                continue
            if "@" in wanted or message.to.lower().startswith(wanted):
                yield message

    def _next_id(self) -> str:
        self._last_id = max(self._last_id + 1, time.time_ns() // 1000)
        return f"{self._last_id:015x}"


def _take_one(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _first(limit: int, messages: Iterator[StoredMessage]) -> list[StoredMessage]:
    return [message for message, _ in zip(messages, range(limit), strict=False)]
