"""Under which keys messages are found again: by time, recipient, message id and tag.

Every key begins with the server, so nothing of another tenant is ever in reach. What can be long
or is somebody's address is hashed: an index key has an upper size, and is shown in consoles.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

from mailroom.domain.message import ServerId, Submission

DAY_SECONDS = 86_400
_DIGITS = 20  # hexadecimal: 80 bits; who finds by one still compares the whole
_MAX_TAG = 200  # characters of a tag that go into its key, which may have 2,048 octets
_SHARD = 0  # a server whose days grow hot gets more of them


def day_of(at: float) -> str:
    """Return the UTC day of `at` (Unix seconds) as YYYYMMDD."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d")


def days_back(since: float, until: float) -> Iterator[float]:
    """Yield the starts (Unix seconds) of the UTC days that hold `since` to `until`, newest first.

    Nothing if `until` is before `since`.
    """
    first = int(since // DAY_SECONDS)
    for day in range(int(until // DAY_SECONDS), first - 1, -1):
        yield float(day * DAY_SECONDS)


def day_key(server: ServerId, at: float) -> str:
    """Return the key of all messages a server accepted on the day of `at` (Unix seconds)."""
    return f"{server}#{day_of(at)}#{_SHARD}"


def recipient_key(server: ServerId, address: str) -> str:
    """Return the key of all messages of a server to one address, however it is written."""
    return f"{server}#{_digest(normal_address(address))}"


def message_key(server: ServerId, message_id: str) -> str:
    """Return the key of the messages of a server that carry one Message-ID."""
    return f"{server}#{_digest(normal_message_id(message_id))}"


def tag_key(server: ServerId, tag: str, at: float) -> str:
    """Return the key of the messages with a tag that a server accepted on the day of `at`."""
    return f"{server}#{tag[:_MAX_TAG]}#{day_of(at)}"


def tags_of(submission: Submission) -> tuple[str, ...]:
    """Return the tags of a submission, each once; the first is the row's own."""
    tag = (submission.tag,) if submission.tag else ()
    return tuple(dict.fromkeys((*tag, *submission.tags)))


def normal_address(address: str) -> str:
    """Return an address as two of them are compared: without spaces around it, in lower case.

    The part before @ may have a case of its own by RFC 5321 section 2.4; nobody relies on it.
    """
    return address.strip().lower()


def normal_message_id(message_id: str) -> str:
    """Return a Message-ID without what may stand around it: spaces and angle brackets."""
    return message_id.strip().strip("<>").strip()


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
