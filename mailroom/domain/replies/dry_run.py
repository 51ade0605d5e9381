"""What a rule set would have said about replies that were recorded, and where two sets differ."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mailroom.domain.replies.book import RuleBook
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement

MOST_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """A reply that came from a site of `provider`, `times` over."""

    reply: SmtpReply
    provider: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """A recorded reply on which two rule sets do not agree."""

    recorded: RecordedReply
    before: Judgement
    after: Judgement


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two rule sets differ over recorded replies: how often, and the first examples."""

    replies: int
    changed: int
    examples: tuple[Change, ...]


def would_have_fired(book: RuleBook, recorded: Iterable[RecordedReply]) -> Mapping[str, int]:
    """Return how often each rule would have decided, 0 for those that never did.

    "" counts replies that nobody knew; names that begin with `enhanced:` those known by their
    enhanced code alone.
    """
    fired: Counter[str] = Counter({rule.id: 0 for rule in book.rules})
    for each in recorded:
        fired[book.judge(each.reply, each.provider).rule] += each.times
    return dict(fired)


def difference(before: RuleBook, after: RuleBook, recorded: Iterable[RecordedReply]) -> Difference:
    """Return where `after` judges otherwise than `before`; another rule's name alone is none."""
    replies = changed = 0
    examples: list[Change] = []
    for each in recorded:
        replies += each.times
        old = before.judge(each.reply, each.provider)
        new = after.judge(each.reply, each.provider)
        if _says(old) != _says(new):
            changed += each.times
            if len(examples) < MOST_EXAMPLES:
                examples.append(Change(each, old, new))
    return Difference(replies, changed, tuple(examples))


def _says(judgement: Judgement) -> tuple[object, ...]:
    return (
        judgement.scope,
        judgement.category,
        judgement.actions,
        judgement.trigger,
        judgement.permanent,
        judgement.suppress,
        judgement.retry_after,
    )
