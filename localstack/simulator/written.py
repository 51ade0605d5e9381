"""Reading the steps of a script from JSON, strictly. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localstack.simulator.steps import MAX_SECONDS, Phase, Step

MAX_STEPS = 100
MAX_TIMES = 10_000
MAX_LINES = 100
MAX_TEXT = 400  # octets: a reply line is at most 512 (RFC 5321 section 4.5.3.1.5)
MAX_RAW = 20_000
ACTIONS = ("reply", "delay", "close", "tarpit", "raw")

_KEYS = frozenset({"phase", "action", "code", "text", "seconds", "times", "close", "store"})
_TAKES = {
    "reply": frozenset({"code", "text", "seconds", "close", "store"}),
    "delay": frozenset({"seconds"}),
    "close": frozenset({"seconds", "store"}),
    "tarpit": frozenset({"code", "text", "seconds", "store"}),
    "raw": frozenset({"text", "seconds", "close"}),
}
_NEEDS = {
    "reply": frozenset({"code"}),
    "delay": frozenset({"seconds"}),
    "tarpit": frozenset({"seconds"}),
    "raw": frozenset({"text"}),
}
_OF_RECIPIENTS = frozenset({Phase.RCPT, Phase.DATA, Phase.BODY, Phase.DOT, Phase.AFTER})
_PLAIN = re.compile(r"[\x20-\x7e]*\Z")


class ScriptError(ValueError):
    """The script cannot be played; the text says why."""


@dataclass(frozen=True, slots=True)
class WrittenStep:
    """One step of a script; `written` is how it came."""

    phase: Phase
    step: Step
    times: int
    written: Mapping[str, Any]


def parse_steps(document: object, *, is_host: bool) -> list[WrittenStep]:
    """Read a list of 1 to 100 steps. A recipient is known from RCPT on, so its script may not
    speak of earlier phases. Raises ScriptError, which names the step.
    """
    if not isinstance(document, list) or not 1 <= len(document) <= MAX_STEPS:
        raise ScriptError(f"a script is a list of 1 to {MAX_STEPS} steps")
    steps = []
    for number, entry in enumerate(document):
        try:
            steps.append(_step(entry, is_host=is_host))
        except ScriptError as error:
            raise ScriptError(f"step {number}: {error}") from error
    return steps


def _step(entry: object, *, is_host: bool) -> WrittenStep:
    if not isinstance(entry, Mapping):
        raise ScriptError('a step is {"phase": ..., "action": ...}')
    phase, action = _phase(entry.get("phase"), is_host=is_host), entry.get("action")
    if action not in ACTIONS:
        raise ScriptError(f"action must be one of {', '.join(ACTIONS)}")
    given = set(entry) - {"phase", "action", "times"}
    if unknown := given - _KEYS:
        raise ScriptError(f"unknown key {min(unknown)!r}")
    if unfit := given - _TAKES[action]:
        raise ScriptError(f"{action} takes no {min(unfit)}")
    if missing := _NEEDS.get(action, frozenset()) - given:
        raise ScriptError(f"{action} needs {min(missing)}")
    if "store" in entry and phase is not Phase.DOT:
        raise ScriptError("store is for the phase dot")
    times = entry.get("times", 1)
    if isinstance(times, bool) or not isinstance(times, int) or not 1 <= times <= MAX_TIMES:
        raise ScriptError(f"times must be a whole number from 1 to {MAX_TIMES}")
    return WrittenStep(phase, _action(action, phase, entry), times, dict(entry))


def _phase(value: object, *, is_host: bool) -> Phase:
    known = [each for each in Phase if is_host or each in _OF_RECIPIENTS]
    if not isinstance(value, str) or value not in known:
        whose = "host" if is_host else "recipient"
        raise ScriptError(f"phase of a {whose}'s script must be one of {', '.join(known)}")
    return Phase(value)


def _action(action: str, phase: Phase, entry: Mapping[str, Any]) -> Step:
    seconds = _seconds(entry.get("seconds", 0))
    close, store = _flag(entry, "close"), _flag(entry, "store")
    match action:
        case "delay":
            return Step("", seconds=seconds)
        case "close":
            return Step("", close=True, store=store, seconds=seconds)
        case "raw":
            text = _text(entry["text"], most=MAX_RAW, plain=False)
            return Step(text, close=close, seconds=seconds, raw=True)
        case "tarpit" if "code" not in entry:
            if "text" in entry or "store" in entry:
                raise ScriptError("a tarpit with a text or store needs a code")
            return Step("", drip=seconds)
    code = _code(entry["code"])
    if "store" not in entry:
        store = phase is Phase.DOT and code < 300
    drip = seconds if action == "tarpit" else 0
    return Step(
        _reply(code, entry.get("text", "")),
        close=close or code == 421,
        store=store,
        seconds=0 if drip else seconds,
        drip=drip,
        raw=True,
    )


def _reply(code: int, text: object) -> str:
    lines = text if isinstance(text, list) else [text]
    if not 1 <= len(lines) <= MAX_LINES:
        raise ScriptError(f"text must be one line, or a list of 1 to {MAX_LINES} lines")
    shown = [_text(line, most=MAX_TEXT, plain=True) for line in lines]
    marks = ["-"] * (len(shown) - 1) + [" "]
    return "\r\n".join(f"{code}{mark}{line}" for mark, line in zip(marks, shown, strict=True))


def _text(value: object, *, most: int, plain: bool) -> str:
    if not isinstance(value, str) or len(value) > most or (plain and not _PLAIN.match(value)):
        kind = "printable ASCII characters" if plain else "characters"
        raise ScriptError(f"text must be at most {most} {kind}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ScriptError("text must be valid Unicode") from None
    return value


def _seconds(value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MAX_SECONDS:  # type: ignore[operator]  # it is a number
        raise ScriptError(f"seconds must be a number from 0 to {MAX_SECONDS}")
    return float(value)  # type: ignore[arg-type]  # it is a number


def _flag(entry: Mapping[str, Any], key: str) -> bool:
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise ScriptError(f"{key} must be true or false")
    return value


def _code(value: object) -> int:
    # A 3xx asks for more input, which a scripted answer could not take.
    whole = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if 200 <= whole < 300 or 400 <= whole < 600:
        return whole
    raise ScriptError("code must be a 2xx, 4xx or 5xx SMTP code")
