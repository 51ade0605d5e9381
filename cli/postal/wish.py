"""What the import wants to be there, and what is done about it: pure decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

Json = Mapping[str, Any]


class Action(StrEnum):
    """What becomes of one object."""

    CREATE = "create"
    UPDATE = "update"
    SKIP = "skip"  # it is there as it should be
    CONFLICT = "conflict"  # it cannot be made; the reason says why
    BLOCKED = "blocked"  # what it belongs to could not be made


@dataclass(frozen=True, slots=True)
class Wish:
    """One object that should be there.

    `external_id` names it for ever, whatever is renamed. `collection` and `item` are paths of the
    API with `{parent}` and `{id}`. `fields` are compared on the next run; `once` are sent with a
    new object only, for what cannot be read back or changed. `links` are fields whose value is
    the id of another wish's object, by its external id; a name with a number at its end
    (`organisations.0`) is part of a list. `needs` are others that must be there. `essential` are
    fields without which it is not made. `suspended` is why Postal suspended it. `notes` are told
    in the report, `problem` is why it cannot be wished for at all.
    """

    kind: str
    external_id: str
    label: str
    collection: str
    item: str
    parent: str = ""
    fields: Json = field(default_factory=dict)
    once: Json = field(default_factory=dict, repr=False)
    links: Mapping[str, str] = field(default_factory=dict)
    needs: Sequence[str] = ()
    essential: frozenset[str] = frozenset()
    suspended: str | None = None
    notes: Sequence[str] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a wish. `body` is what is sent, `reason` what the report says."""

    action: Action
    reason: str = ""
    body: Json = field(default_factory=dict, repr=False)


def decide(wish: Wish, found: Json | None, links: Json, known: frozenset[str] | None) -> Decision:
    """Decide about a wish.

    `found` is the object the platform has, None if it has none. `links` are ids by field.
    `known` are the fields the platform's API takes for a new one, None if that is not known:
    one it does not know is left out, which the reason says.
    """
    if wish.problem:
        return Decision(Action.CONFLICT, wish.problem)
    wanted = {**wish.fields, **links}
    if found is not None:
        changes = {
            name: value
            for name, value in wanted.items()
            if name in found and not _same(value, found[name])
        }
        told = sorted(changes)
        if wish.suspended and not found.get("suspended"):
            told.append("suspended")
        if not told:
            return Decision(Action.SKIP, "is there")
        return Decision(Action.UPDATE, ", ".join(told), changes)
    body = {**wanted, **wish.once, "external_id": wish.external_id}
    left_out = sorted(set(body) - known) if known is not None else []
    if missing := sorted(wish.essential.intersection(left_out)):
        return Decision(Action.CONFLICT, f"this platform does not take {', '.join(missing)}")
    reasons = [*wish.notes]
    if left_out:
        reasons.append(f"not taken by this platform: {', '.join(left_out)}")
    kept = {name: value for name, value in body.items() if name not in left_out}
    return Decision(Action.CREATE, "; ".join(reasons), kept)


def _same(wanted: Any, found: Any) -> bool:
    """Say whether what is there is what is wanted; objects may have more than was asked for."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _same(value, found.get(name)) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        return sorted(map(str, wanted)) == sorted(map(str, found))
    # A password in a URL is not shown again, so it cannot be compared.
    if isinstance(wanted, str) and "@" in wanted and "://" in wanted:
        return urlsplit(wanted).hostname == urlsplit(str(found)).hostname
    return bool(wanted == found)
