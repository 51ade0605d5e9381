"""The shipped rules do not get worse on replies that were recorded elsewhere (docs/replies.md)."""

from pathlib import Path

import pytest

from tests.replies.accuracy import FOLDER, measure, read

# As first measured, before any rule was changed for what was found: replies, then the shares that
# are right in scope, category, permanence and all three.
FIRST = {
    "recorded.jsonl": (255, 0.949, 0.898, 1.0, 0.882),
    "recorded_later.jsonl": (115, 0.939, 0.756, 1.0, 0.747),
}


@pytest.mark.parametrize("name", sorted(FIRST))
def test_the_rules_are_as_right_as_when_first_measured(name: str) -> None:
    replies, scope, category, permanent, everything = FIRST[name]
    figures = measure(read(FOLDER / name))
    assert figures.replies == replies
    assert figures.scope >= scope
    assert figures.category >= category
    assert figures.permanent >= permanent
    assert figures.all >= everything
    assert figures.wrongly_suppressed <= 1


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.name)
def test_every_recorded_reply_is_one_and_says_where_it_is_from(path: Path) -> None:
    recorded = read(path)
    assert all(each.source for each in recorded)
    assert len({(each.reply, each.provider) for each in recorded}) == len(recorded)
