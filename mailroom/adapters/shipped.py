"""Data that is shipped with the package: the reply rules and the shaping sets to start from."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.rule_json import load_book
from mailroom.domain.shaping.layers import ShapingSet
from mailroom.domain.shaping.loading import load

STARTER, LOCAL = "starter", "local"  # shaping sets: for the Internet, and for simulated receivers


def shipped(name: str) -> Mapping[str, Any]:
    """Return the document `mailroom/data/<name>.json`. Raises FileNotFoundError."""
    text = resources.files("mailroom").joinpath(f"data/{name}.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def shipped_reply_rules() -> RuleBook:
    """Return the reply rules of `mailroom/data/reply_rules.json`."""
    return load_book(shipped("reply_rules"))


def shipped_shaping(name: str = STARTER) -> ShapingSet:
    """Return the shaping set `starter` or `local`. Raises ValueError for another name."""
    if name not in (STARTER, LOCAL):
        raise ValueError(f"no shaping set {name[:40]!r} is shipped: {STARTER} or {LOCAL}")
    return load(shipped(f"shaping_{name}"))
