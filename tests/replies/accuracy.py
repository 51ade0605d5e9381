"""How right the shipped rules are on replies that were recorded elsewhere.

`python -m tests.replies.accuracy [file]` prints the figures and what is wrong.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from mailroom.adapters.shipped import shipped_reply_rules
from mailroom.domain.replies.lint import SUPPRESSING
from mailroom.domain.replies.rule import is_refusal
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Category, Judgement, Scope

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Recorded:
    """A reply that somebody received, and what it means; `source` says where it was read."""

    reply: SmtpReply
    provider: str
    scope: Scope
    category: Category
    permanent: bool
    source: str


@dataclass(frozen=True, slots=True)
class Miss:
    recorded: Recorded
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Shares from 0 to 1. `all` is all three right; `wrongly_suppressed` counts addresses."""

    replies: int
    scope: float
    category: float
    permanent: float
    all: float
    unknown: int
    wrongly_suppressed: int
    misses: tuple[Miss, ...]


def read(path: Path) -> list[Recorded]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [
        Recorded(
            SmtpReply(row["code"], row["text"], row["phase"]),
            row["provider"],
            Scope(row["scope"]),
            Category(row["category"]),
            row["permanent"],
            row["source"],
        )
        for row in rows
    ]


def measure(recorded: list[Recorded]) -> Accuracy:
    book = shipped_reply_rules()
    scope = category = permanent = unknown = suppressed = 0
    misses = []
    for each in recorded:
        found = book.judge(each.reply, each.provider)
        final = is_refusal(each.reply.code, found.permanent)
        right = (
            found.scope is each.scope,
            found.category is each.category,
            final == each.permanent,
        )
        scope, category, permanent = scope + right[0], category + right[1], permanent + right[2]
        unknown += not found.rule
        suppressed += found.suppress and each.category not in SUPPRESSING
        if not all(right):
            misses.append(Miss(each, found))
    total = len(recorded)
    return Accuracy(
        total,
        scope / total,
        category / total,
        permanent / total,
        1 - len(misses) / total,
        unknown,
        suppressed,
        tuple(misses),
    )


def main(path: Path) -> None:
    figures = measure(read(path))
    for miss in figures.misses:
        wanted, found = miss.recorded, miss.judgement
        sys.stdout.write(
            f"{wanted.provider} {wanted.reply.phase} {str(wanted.reply)[:90]!r}\n"
            f"    wanted {wanted.scope}/{wanted.category}/{wanted.permanent}, "
            f"got {found.scope}/{found.category}/{found.permanent} by {found.rule or 'no rule'}\n"
        )
    sys.stdout.write(
        f"{figures.replies} replies: scope {figures.scope:.1%}, category {figures.category:.1%}, "
        f"permanence {figures.permanent:.1%}, all three {figures.all:.1%}; "
        f"{figures.unknown} known to no rule, {figures.wrongly_suppressed} wrongly suppressed\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "recorded.jsonl")
