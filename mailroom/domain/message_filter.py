"""Which messages somebody looks for, decided on one message at a time.

Words are compared without regard to case or to how Unicode spells a character, and all of them
must be there, in any order and inside longer words too.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from mailroom.domain.lifecycle import State
from mailroom.domain.search_keys import normal_address, normal_message_id, tags_of
from mailroom.domain.stored_message import StoredMessage

MAX_WORDS = 20
MAX_TEXT = 200  # characters of one field of a filter


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What a message must be. Empty fields ask for nothing.

    `recipient`, `message_id`, `tag` and `stream` are exact, `sender` and `subject` are words
    of that field, `text` words of everything a list of messages shows, the last reply included.
    """

    recipient: str = ""
    message_id: str = ""
    tag: str = ""
    states: frozenset[State] = frozenset()
    sender: str = ""
    subject: str = ""
    text: str = ""
    stream: str = ""

    @property
    def reads_rows(self) -> bool:
        """Say whether no index answers it alone: messages must be looked at one by one."""
        exact = [self.message_id, self.recipient, self.tag]
        several = len([each for each in exact if each]) > 1
        return several or self._looks_inside

    @property
    def _looks_inside(self) -> bool:
        return bool(self.states or self.sender or self.subject or self.text or self.stream)


def matches(wanted: MessageFilter, message: StoredMessage) -> bool:
    """Say whether `message` is all that `wanted` asks for."""
    return _has_names(wanted, message) and _has_words(wanted, message)


def fold(text: str) -> str:
    """Return `text` as words of it are compared (Unicode's compatibility caseless match)."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", folded)


def words(text: str) -> list[str]:
    """Return the words somebody looks for, folded: at most MAX_WORDS of them."""
    return fold(text[:MAX_TEXT]).split()[:MAX_WORDS]


def contains(haystack: str, wanted: str) -> bool:
    """Say whether every word of `wanted` is somewhere in `haystack`."""
    folded = fold(haystack)
    return all(word in folded for word in words(wanted))


def _has_names(wanted: MessageFilter, message: StoredMessage) -> bool:
    submission, delivery = message.submission, message.delivery
    if wanted.states and delivery.state not in wanted.states:
        return False
    if wanted.stream and submission.stream != wanted.stream:
        return False
    if wanted.tag and wanted.tag not in tags_of(submission):
        return False
    if wanted.recipient:
        asked = normal_address(wanted.recipient)
        if normal_address(delivery.recipient) != asked:
            return False
    if wanted.message_id:
        asked = normal_message_id(wanted.message_id)
        return normal_message_id(submission.message_id or "") == asked
    return True


def _has_words(wanted: MessageFilter, message: StoredMessage) -> bool:
    submission = message.submission
    return (
        (not wanted.subject or contains(submission.subject, wanted.subject))
        and (not wanted.sender or contains("\n".join(_senders(message)), wanted.sender))
        and (not wanted.text or contains("\n".join(_shown(message)), wanted.text))
    )


def _senders(message: StoredMessage) -> Iterator[str]:
    yield message.submission.from_address
    yield message.submission.mail_from


def _shown(message: StoredMessage) -> Iterator[str]:
    yield message.submission.subject
    yield from _senders(message)
    yield message.delivery.recipient
    yield message.submission.message_id or ""
    yield from tags_of(message.submission)
    if message.last is not None and message.last.attempt is not None:
        yield message.last.attempt.details
        yield message.last.attempt.reply
