"""Reply rules as JSON: read with exact complaints, written so that reading gives the same.

A document is `{"version": "...", "rules": [{...}, ...]}`; the order of rules counts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mailroom.domain.replies.action_json import dump_action, dump_trigger, load_action, load_trigger
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.rule import GENERIC, ReplyRule
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Category, Scope

MAX_RULES = 1_000
MAX_SAMPLES = 20
MAX_ACTIONS = 8
MAX_PROVIDERS = 20
MAX_WORDS = 1_200  # characters of a pattern, a note, a source or a sample
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST = 30 * 86_400.0

T = TypeVar("T")


def load_book(document: Mapping[str, Any]) -> RuleBook:
    """Return the rules of a document. Raises ValueError naming the rule and the field."""
    for name in document.keys() - {"version", "rules"}:
        raise ValueError(f"{name[:40]!r} is no field of a rule set: version, rules")
    version, rules = document.get("version"), document.get("rules")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ValueError("version: a word of letters, digits, dots and hyphens")
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        raise ValueError(f"rules: a list of at most {MAX_RULES}")
    loaded = [load_rule(rule) for rule in rules]
    seen: set[str] = set()
    for rule in loaded:
        if rule.id in seen:
            raise ValueError(f"rule {rule.id}: id: two rules have it")
        seen.add(rule.id)
    return RuleBook(loaded, version)


def dump_book(book: RuleBook) -> dict[str, Any]:
    """Return the document that `load_book` reads as `book`."""
    return {"version": book.version, "rules": [dump_rule(rule) for rule in book.rules]}


def load_rule(fields: object) -> ReplyRule:
    """Return one rule. Raises ValueError naming it and the field."""
    if not isinstance(fields, Mapping):
        raise ValueError("a rule is an object")  # noqa: TRY004 - a malformed file, not a bug
    name = fields.get("id")
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(f"rule {str(name)[:40]!r}: id: small letters, digits, dots and hyphens")
    for unknown in fields.keys() - _READERS.keys() - {"id"}:
        raise ValueError(f"rule {name}: {str(unknown)[:40]}: no field of a rule")
    values = {field: _read(name, field, value) for field, value in fields.items() if field != "id"}
    for needed in ("scope", "category"):
        if needed not in values:
            raise ValueError(f"rule {name}: {needed}: missing")
    return ReplyRule(name, **{_NAMES.get(field, field): value for field, value in values.items()})


def dump_rule(rule: ReplyRule) -> dict[str, Any]:
    """Return the rule in JSON-ready form, without what is left at its default."""
    every: dict[str, Any] = {
        "id": rule.id,
        "provider": rule.providers[0] if len(rule.providers) == 1 else list(rule.providers),
        "phases": [phase.value for phase in Phase if phase in rule.phases],
        "code": rule.code,
        "enhanced": rule.enhanced,
        "text": rule.text,
        "scope": rule.scope.value,
        "category": rule.category.value,
        "actions": [dump_action(action) for action in rule.actions],
        "trigger": dump_trigger(rule.trigger),
        "permanent": rule.permanent,
        "suppress": rule.suppress,
        "retry_after": rule.retry_after,
        "note": rule.note,
        "source": rule.source,
        "samples": [
            {"code": each.code, "text": each.text, "phase": each.phase} for each in rule.samples
        ],
    }
    defaults: tuple[object, ...] = ("", [], {}, None)
    return {
        name: value
        for name, value in every.items()
        if value not in defaults and not (name == "suppress" and not value)
    }


def _read(rule: str, field: str, value: object) -> Any:
    try:
        return _READERS[field](value)
    except ValueError as error:
        raise ValueError(f"rule {rule}: {field}: {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_WORDS:
        raise ValueError(f"text of at most {MAX_WORDS} characters")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004 - a malformed file, not a bug
    return value


def _maybe_flag(value: object) -> bool | None:
    return None if value is None else _flag(value)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
        raise ValueError("seconds above 0, at most 30 days")
    return float(value)


def _list(value: object, most: int) -> Sequence[object]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"a list of at most {most}")
    return value


def _providers(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else _list(value, MAX_PROVIDERS)
    if names == [GENERIC]:
        return (GENERIC,)
    if not names or not all(isinstance(name, str) and _PROVIDER.fullmatch(name) for name in names):
        raise ValueError('"*" alone, or ids of providers in small letters')
    return tuple(str(name) for name in names)


def _phases(value: object) -> frozenset[str]:
    known = {phase.value for phase in Phase}
    phases = _list(value, len(known))
    if not all(isinstance(phase, str) and phase in known for phase in phases):
        raise ValueError(f"phases are {', '.join(phase.value for phase in Phase)}")
    return frozenset(str(phase) for phase in phases)


def _member(kind: Callable[[str], T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        try:
            return kind(_text(value))
        except ValueError:
            raise ValueError(f"{str(value)[:40]!r} is not known") from None

    return read


def _samples(value: object) -> tuple[SmtpReply, ...]:
    return tuple(_sample(each) for each in _list(value, MAX_SAMPLES))


def _sample(value: object) -> SmtpReply:
    if not isinstance(value, Mapping) or value.keys() != {"code", "text", "phase"}:
        raise ValueError("a sample has code, text and phase")
    code = value["code"]
    if isinstance(code, bool) or not isinstance(code, int) or not 0 <= code <= 599:
        raise ValueError("the code of a sample is a number from 0 to 599")
    (phase,) = _phases([value["phase"]])
    return SmtpReply(code, _text(value["text"]), phase)


_NAMES = {"provider": "providers"}
_READERS: Mapping[str, Callable[[object], Any]] = {
    "provider": _providers,
    "phases": _phases,
    "code": _text,
    "enhanced": _text,
    "text": _text,
    "scope": _member(Scope),
    "category": _member(Category),
    "actions": lambda value: tuple(load_action(each) for each in _list(value, MAX_ACTIONS)),
    "trigger": load_trigger,
    "permanent": _maybe_flag,
    "suppress": _flag,
    "retry_after": _seconds,
    "note": _text,
    "source": _text,
    "samples": _samples,
}
