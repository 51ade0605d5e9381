"""Replies that a test dictates: for one recipient, one a transaction, until they are used up."""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from localstack.simulator.playbook import Playbook
from localstack.simulator.steps import Step
from localstack.simulator.written import ScriptError

MAX_RECIPIENTS = 10_000
MAX_REPLIES = 100
MAX_TEXT = 400  # octets: a reply line is at most 512 (RFC 5321 section 4.5.3.1.5)

_PLAIN = re.compile(r"[\x20-\x7e]*\Z")


class ScriptPhase(StrEnum):
    """Where in a transaction a dictated reply is given: as `mailroom.domain.reply.Phase`."""

    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "."


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One dictated reply. Code 0 cuts the connection without a word; `store` is for DOT."""

    phase: ScriptPhase
    code: int
    text: str
    store: bool

    @property
    def step(self) -> Step:
        """The same as what a behaviour would say. 421 closes, as RFC 5321 section 3.8 wants."""
        reply = f"{self.code} {self.text}" if self.code else ""
        return Step(reply, close=self.code in {0, 421}, store=self.store)


class Scripts:
    """The replies still to give, by recipient, and the playbook of longer scripts."""

    def __init__(self, playbook: Playbook | None = None) -> None:
        self.playbook = Playbook() if playbook is None else playbook
        self._replies: dict[str, deque[ScriptedReply]] = {}

    def dictate(self, document: object) -> int:
        """Queue the replies of `{"recipient": address, "replies": [{"phase","code","text"}]}`.

        Returns how many now wait for that recipient. Raises ScriptError and then queues nothing.
        """
        recipient, replies = _parse(document)
        waiting = self._replies.get(recipient, deque())
        if len(waiting) + len(replies) > MAX_REPLIES:
            raise ScriptError(f"at most {MAX_REPLIES} replies may wait for one recipient")
        if recipient not in self._replies and len(self._replies) >= MAX_RECIPIENTS:
            raise ScriptError(f"at most {MAX_RECIPIENTS} recipients may have a script")
        waiting.extend(replies)
        self._replies[recipient] = waiting
        return len(waiting)

    def take(self, recipient: str) -> ScriptedReply | None:
        """Return and forget the next reply for `recipient`, None when its behaviour rules."""
        key = recipient.lower()
        waiting = self._replies.get(key)
        if not waiting:
            return None
        reply = waiting.popleft()
        if not waiting:
            del self._replies[key]
        return reply


def _parse(document: object) -> tuple[str, list[ScriptedReply]]:
    if not isinstance(document, Mapping):
        raise ScriptError("the script must be a JSON object")
    recipient, replies = document.get("recipient"), document.get("replies")
    if not isinstance(recipient, str) or "@" not in recipient:
        raise ScriptError("recipient must be a mail address")
    if not isinstance(replies, list) or not replies:
        raise ScriptError("replies must be a list of at least one reply")
    return recipient.lower(), [_reply(entry) for entry in replies]


def _reply(entry: object) -> ScriptedReply:
    if not isinstance(entry, Mapping):
        raise ScriptError('a reply is {"phase": ..., "code": ..., "text": ...}')
    try:
        phase = ScriptPhase(entry.get("phase", ""))
    except ValueError:
        raise ScriptError(f"phase must be one of {', '.join(ScriptPhase)}") from None
    code, text = _code(entry.get("code")), entry.get("text", "")
    if not isinstance(text, str) or len(text) > MAX_TEXT or not _PLAIN.match(text):
        raise ScriptError(f"text must be at most {MAX_TEXT} printable ASCII characters")
    store = entry.get("store", phase is ScriptPhase.DOT and 200 <= code < 300)
    if not isinstance(store, bool) or (store and phase is not ScriptPhase.DOT):
        raise ScriptError('store must be true or false, and true only with phase "."')
    return ScriptedReply(phase, code, text, store)


def _code(value: object) -> int:
    # A 3xx asks for more input, which no phase here could take.
    known = {0, *range(200, 300), *range(400, 600)}
    if isinstance(value, int) and not isinstance(value, bool) and value in known:
        return value
    raise ScriptError("code must be 0 (cut the connection) or a 2xx, 4xx or 5xx SMTP code")
