"""Replies in the history of a server's messages, for trying reply rules on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.domain.message import ServerId
from mailroom.domain.provider import provider_of
from mailroom.domain.replies.dry_run import RecordedReply
from mailroom.domain.reply import SmtpReply
from mailroom.ports import Clock, Ledger
from mailroom.ports.search import Search
from mailroom.usecases.find_messages import MAX_PAGE, FindPorts, Wanted, find_messages

MAX_MESSAGES = 500
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class RecordedPorts:
    """The world of `recorded_replies`."""

    search: Search
    ledger: Ledger
    clock: Clock


@dataclass(frozen=True, slots=True)
class Recorded:
    """Replies, each with how often it came; `messages` were looked at."""

    replies: Sequence[RecordedReply]
    messages: int
    is_complete: bool


def recorded_replies(server: ServerId, day_begins: float, ports: RecordedPorts) -> Recorded:
    """Return the replies to messages of a server that were accepted on a day, newest first.

    At most 500 messages are looked at. Providers are those of the recipients' domains.
    """
    found: Counter[tuple[SmtpReply, str]] = Counter()
    messages, cursor = 0, ""
    while messages < MAX_MESSAGES:
        wanted = Wanted(
            server, since=day_begins, until=day_begins + _DAY, limit=MAX_PAGE, cursor=cursor
        )
        page = find_messages(wanted, FindPorts(ports.search, ports.clock))
        messages += len(page.messages)
        for message in page.messages:
            provider = provider_of(message.delivery.recipient)
            for event in ports.ledger.history(message.delivery.key):
                facts = event.attempt
                if facts is not None and facts.code:
                    found[SmtpReply(facts.code, _text(facts.reply), facts.phase), provider] += 1
        cursor = page.cursor
        if not cursor:
            break
    replies = [RecordedReply(reply, provider, n) for (reply, provider), n in found.items()]
    return Recorded(replies, messages, not cursor)


def _text(reply: str) -> str:
    """Return the text of a reply that is stored with its code."""
    code, _, rest = reply.partition(" ")
    return rest if code.isdigit() else reply
