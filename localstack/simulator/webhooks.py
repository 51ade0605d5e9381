"""The webhook receiver: keeps every request before it is answered, so kill -9 loses none."""

import base64
import json
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localstack.simulator.journal import Journal, as_line
from localstack.simulator.signatures import SignatureChecker

KEEP = 50_000
KEEP_OCTETS = 256 * 1024 * 1024
MAX_BODY = 1024 * 1024
MAX_TEXT = 200


class Webhooks:
    """All webhook requests received, newest 50,000. The same folder opened again has the same."""

    def __init__(self, folder: Path, checker: SignatureChecker, *, keep: int = KEEP) -> None:
        """Open or make the store in `folder`."""
        self._checker = checker
        self._keep = keep
        self._journal = Journal(folder / "webhooks.jsonl")
        self._entries: deque[tuple[str, bytes]] = deque()
        self._octets = 0
        self._lines = 0
        self._requests: Counter[tuple[str, str]] = Counter()
        for entry in self._journal.entries():
            self._remember(entry, as_line(entry))
        self._compact()

    def __len__(self) -> int:
        return len(self._entries)

    def receive(self, name: str, headers: Mapping[str, str], body: bytes, *, fail: int) -> int:
        """Keep one request to the receiver `name`; return the HTTP code to answer it with.

        The first `fail` requests with the same uuid at this receiver get 500, later ones 200,
        what is not a JSON object 400. Raises OSError when it cannot be kept: do not acknowledge.
        """
        envelope = _envelope(body)
        facts = envelope or {}
        uuid = str(facts.get("uuid", ""))[:MAX_TEXT]
        check = self._checker.check(headers, body)
        answer = 500 if self._requests[name, uuid] < fail else 200
        entry: dict[str, Any] = {
            "name": name,
            "uuid": uuid,
            "event": str(facts.get("event", ""))[:MAX_TEXT],
            "timestamp": facts.get("timestamp"),
            "received_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "verified": check.verified,
            "signatures": {"sha1": check.sha1, "sha256": check.sha256},
            "payload": facts.get("payload"),
            "headers": dict(headers),
            "answer": 400 if envelope is None else answer,
            "body": base64.b64encode(body).decode("ascii"),
        }
        line = self._journal.append(entry)
        self._remember(entry, line)
        self._compact()
        return int(entry["answer"])

    def newest(self, *, event: str = "", limit: int) -> tuple[list[dict[str, Any]], int]:
        """At most `limit` requests, newest first, and how many there are: of one event or all."""
        found: list[dict[str, Any]] = []
        total = 0
        for kind, line in reversed(self._entries):
            if event and kind != event:
                continue
            total += 1
            if len(found) < limit:
                found.append(json.loads(line))
        return found, total

    def clear(self) -> int:
        """Delete every request and the count of failures; return how many there were."""
        deleted = len(self)
        self._journal.replace([])
        self._entries.clear()
        self._requests.clear()
        self._octets = self._lines = 0
        return deleted

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _remember(self, entry: dict[str, Any], line: bytes) -> None:
        self._lines += 1
        self._entries.append((str(entry.get("event", "")), line))
        self._octets += len(line)
        self._requests[_key(entry)] += 1
        while len(self._entries) > self._keep or self._octets > KEEP_OCTETS:
            self._forget_oldest()

    def _compact(self) -> None:
        if self._lines > 2 * max(self._keep, len(self._entries)):
            self._journal.replace(json.loads(kept) for _, kept in self._entries)
            self._lines = len(self._entries)

    def _forget_oldest(self) -> None:
        _, line = self._entries.popleft()
        self._octets -= len(line)
        key = _key(json.loads(line))
        self._requests[key] -= 1
        if not self._requests[key]:
            del self._requests[key]


def _key(entry: Mapping[str, Any]) -> tuple[str, str]:
    return str(entry.get("name", "")), str(entry.get("uuid", ""))


def _envelope(body: bytes) -> dict[str, Any] | None:
    try:
        envelope = json.loads(body, parse_constant=_refuse)
        # What can be read but not written again (nested too deep) is refused here, once.
        json.dumps([[envelope]])
    except (ValueError, RecursionError):
        return None
    return envelope if isinstance(envelope, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
