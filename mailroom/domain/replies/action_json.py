"""Actions and triggers of reply rules as JSON, and which fields each verb needs."""

from collections.abc import Mapping
from typing import Any

from mailroom.domain.sending.judgement import Action, Trigger, Verb
from mailroom.domain.sending.rate import Rate, parse_rate

LONGEST = 30 * 86_400.0  # seconds
MOST = 1_000_000

NEED_SECONDS = frozenset({Verb.SUSPEND, Verb.DEFER_TENANT, Verb.RETRY_AFTER})
MAY_HAVE_SECONDS = NEED_SECONDS | {
    Verb.ONE_CONNECTION,
    Verb.RATE,
    Verb.RATE_TIMES,
    Verb.SLOW,
    Verb.BACKOFF,
    Verb.DISABLE_ADDRESS,
    Verb.HOLD_CAMPAIGN,
    Verb.HOLD_WARMUP,
}


def load_action(fields: object) -> Action:
    """Return the action that `{"verb": ..., "seconds"|"factor"|"rate": ...}` means.

    Raises ValueError for an unknown verb, a field its verb has no use for, or one that it lacks.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("an action is an object with a verb")  # noqa: TRY004 - a malformed file
    verb = _verb(fields.get("verb"))
    _only(fields, {"verb", *_fields_of(verb)}, f"an action {verb}")
    if verb in NEED_SECONDS and "seconds" not in fields:
        raise ValueError(f"{verb} needs seconds")
    seconds = _number(fields.get("seconds", 0), "seconds", 0, LONGEST)
    if verb is Verb.RATE:
        return Action(verb, seconds, rate=_rate(fields.get("rate")))
    if verb is Verb.RATE_TIMES:
        return Action(verb, seconds, _number(fields.get("factor"), "factor", 0.001, 0.999))
    return Action(verb, seconds)


def dump_action(action: Action) -> dict[str, Any]:
    """Return the action in the form that `load_action` reads."""
    fields: dict[str, Any] = {"verb": action.verb.value}
    if action.seconds:
        fields["seconds"] = action.seconds
    if action.verb is Verb.RATE_TIMES:
        fields["factor"] = action.factor
    if action.rate:
        fields["rate"] = str(action.rate)
    return fields


def load_trigger(fields: object) -> Trigger:
    """Return the trigger that `{"count", "window"}` or `{"ratio", "window", "least"}` means.

    Raises ValueError.
    """
    if not isinstance(fields, Mapping):
        raise ValueError("a trigger is an object")  # noqa: TRY004 - a malformed file
    _only(fields, {"count", "window", "ratio", "least"}, "a trigger")
    trigger = Trigger(
        count=int(_number(fields.get("count", 1), "count", 1, MOST)),
        window=_number(fields.get("window", 0), "window", 0, LONGEST),
        ratio=_number(fields.get("ratio", 0), "ratio", 0, 1),
        least=int(_number(fields.get("least", 0), "least", 0, MOST)),
    )
    if (trigger.count > 1 or trigger.ratio) and not trigger.window:
        raise ValueError("counting needs a window")
    if trigger.count > 1 and trigger.ratio:
        raise ValueError("a trigger has a count or a ratio, not both")
    return trigger


def dump_trigger(trigger: Trigger) -> dict[str, Any]:
    """Return the trigger in the form that `load_trigger` reads, empty for one that is at once."""
    default = Trigger()
    names = ("count", "window", "ratio", "least")
    values = {name: getattr(trigger, name) for name in names}
    return {name: value for name, value in values.items() if value != getattr(default, name)}


def _verb(value: object) -> Verb:
    try:
        return Verb(str(value))
    except ValueError:
        raise ValueError(f"{str(value)[:40]!r} is no verb") from None


def _fields_of(verb: Verb) -> set[str]:
    fields = {"seconds"} if verb in MAY_HAVE_SECONDS else set()
    if verb is Verb.RATE:
        fields.add("rate")
    if verb is Verb.RATE_TIMES:
        fields.add("factor")
    return fields


def _only(fields: Mapping[str, Any], known: set[str], what: str) -> None:
    for name in sorted(fields.keys() - known):
        raise ValueError(f"{what} has no field {str(name)[:40]}")


def _number(value: object, name: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is a number from {least:g} to {most:g}")
    return float(value)


def _rate(value: object) -> Rate:
    if not isinstance(value, str):
        raise ValueError("rate: write it like 10/min")  # noqa: TRY004 - a malformed file
    return parse_rate(value)
