"""Replies that no rule knew, counted by what they say: how the rules stay alive.

A counter holds a bounded number of texts, whatever strangers send: when it is full, the rarest
makes room and the newcomer takes over its count as what it may be too high by ("space saving").
"""

import hashlib
from dataclasses import dataclass, replace
from typing import NamedTuple

from mailroom.domain.replies.normalise import normalise
from mailroom.domain.reply import SmtpReply


class UnknownKey(NamedTuple):
    """What makes two unknown replies the same."""

    provider: str
    phase: str
    code: int
    text: str  # as `normalise` leaves it

    @property
    def hash(self) -> str:
        """A name for it that is the same on all hosts."""
        whole = "\n".join((self.provider, self.phase, str(self.code), self.text))
        return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class UnknownReply:
    """How often a reply that no rule knows came; `over` is by how much `count` may be too high."""

    key: UnknownKey
    count: int = 1
    over: int = 0


class UnknownReplies:
    """Counts unknown replies between two dumps. Not safe for threads."""

    def __init__(self, limit: int = 200) -> None:
        self._limit = max(1, limit)
        self._counted: dict[UnknownKey, UnknownReply] = {}

    def note(self, reply: SmtpReply, provider: str) -> None:
        """Count a reply whose judgement had no rule. Only refusals are kept: 4xx and 5xx."""
        if not 400 <= reply.code < 600:
            return
        key = UnknownKey(provider, str(reply.phase), reply.code, normalise(reply.text))
        known = self._counted.get(key)
        if known:
            self._counted[key] = replace(known, count=known.count + 1)
            return
        over = 0
        if len(self._counted) >= self._limit:
            rarest = min(self._counted.values(), key=lambda each: each.count)
            del self._counted[rarest.key]
            over = rarest.count
        self._counted[key] = UnknownReply(key, over + 1, over)

    def dump(self) -> tuple[UnknownReply, ...]:
        """Return what was counted, the most frequent first."""
        return tuple(sorted(self._counted.values(), key=lambda each: (-each.count, each.key)))

    def drain(self) -> tuple[UnknownReply, ...]:
        """Return what was counted, and start again from nothing."""
        counted = self.dump()
        self._counted.clear()
        return counted
