"""Data that is shipped with the package: the reply rules to start from."""

import json
from importlib import resources

from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.rule_json import load_book


def shipped_reply_rules() -> RuleBook:
    """Return the reply rules of `mailroom/data/reply_rules.json`."""
    text = resources.files("mailroom").joinpath("data/reply_rules.json").read_text("utf-8")
    return load_book(json.loads(text))
