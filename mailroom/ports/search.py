"""Finding messages by what they are indexed under."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mailroom.domain.message import ServerId
from mailroom.domain.stored_message import Place, StoredMessage

MAX_SLICE = 100  # messages


class By(StrEnum):
    """What a search goes by; all are newest first."""

    TIME = "time"
    RECIPIENT = "recipient"
    MESSAGE_ID = "message_id"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Where:
    """One server's messages, or those of one recipient, Message-ID or tag (`value`)."""

    server: ServerId
    by: By = By.TIME
    value: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of acceptance in Unix seconds, `since` included and `until` not."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive messages. `place` is where the next slice begins, None after the last.

    `looked` counts the deliveries that were read for it, which is more than `messages` when some
    were not committed or are gone. `units` are the read units the store asked for it.
    """

    messages: Sequence[StoredMessage] = ()
    place: Place | None = None
    looked: int = 0
    units: float = 0.0


class Search(Protocol):
    """Committed messages in the descending order of their places.

    A message may be found up to a few seconds after it was accepted. Hashed or shortened keys may
    find a stranger: whoever asks compares (`message_filter.matches`).
    """

    def newest(
        self, where: Where, span: Span, *, after: Place | None = None, limit: int = MAX_SLICE
    ) -> Slice:
        """Return up to `limit` messages that follow `after`.

        A slice may hold fewer, even none, and still have a place to go on from: one call reads a
        bounded part of the store, however far the next message is. `limit` is 1 to MAX_SLICE.
        """
