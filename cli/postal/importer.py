"""Fulfils wishes one by one: what fails is told and the rest goes on; a second run repairs.

Reads before it writes, so a dry run says what a real one would do.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from cli.client import Client
from cli.errors import RefusedError
from cli.openapi import Operation
from cli.postal.wish import Action, Decision, Wish, decide


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish."""

    wish: Wish
    action: Action
    reason: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to look at it."""
        return self.action in (Action.CREATE, Action.UPDATE, Action.SKIP)

    def as_row(self) -> dict[str, str]:
        """Return it as a row of the report."""
        return {
            "kind": self.wish.kind,
            "name": self.wish.label,
            "action": str(self.action),
            "reason": self.reason,
            "external_id": self.wish.external_id,
        }


@dataclass
class Importer:
    """Has a client of the platform, and `operations` as its description lists them.

    With `dry` nothing is written: what would be made gets a made-up id, "" .
    """

    client: Client
    operations: Iterable[Operation]
    dry: bool = False
    ids: dict[str, str] = field(default_factory=dict)
    _lists: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Look up what the platform takes."""
        creating = (each for each in self.operations if each.method == "POST")
        self._known = {
            _shape(each.path): frozenset(p.name for p in each.of("body")) for each in creating
        }

    def fulfil(self, wishes: Iterable[Wish]) -> Iterator[Outcome]:
        """Fulfil wishes in order; raises NetworkError when nobody answers any more."""
        for wish in wishes:
            yield self._fulfilled(wish)

    def _fulfilled(self, wish: Wish) -> Outcome:
        needed = (wish.parent, *wish.links.values(), *wish.needs)
        lacking = [each for each in needed if each and each not in self.ids]
        if lacking:
            return Outcome(wish, Action.BLOCKED, f"{lacking[0]} is not there")
        if _shape(wish.collection) not in self._known:
            return Outcome(wish, Action.CONFLICT, f"this platform has no {wish.kind}")
        try:
            found = self._found(wish)
            decision = decide(wish, found, self._links(wish), self._known[_shape(wish.collection)])
            self._do(wish, found, decision)
        except RefusedError as error:
            problems = "; ".join(f"{p.path}: {p.message}" for p in error.refusal.fields)
            return Outcome(wish, Action.CONFLICT, f"{error}{' ' if problems else ''}{problems}")
        return Outcome(wish, decision.action, decision.reason)

    def _found(self, wish: Wish) -> "Mapping[str, Any] | None":
        """Return the object that a wish is already, looked for by its external id."""
        parent = self.ids.get(wish.parent, "")
        if wish.parent and not parent:
            return None  # a dry run has not made its parent
        path = wish.collection.replace("{parent}", quote(parent, safe=""))
        if path not in self._lists:
            items = self.client.items(path, query={"limit": 100})
            self._lists[path] = {str(each.get("external_id")): each for each in items}
        found: Mapping[str, Any] | None = self._lists[path].get(wish.external_id)
        return found

    def _links(self, wish: Wish) -> dict[str, Any]:
        """Return ids by field; `organisations.0`, `organisations.1` become a list."""
        found: dict[str, Any] = {}
        for name, external_id in wish.links.items():
            base, _, place = name.partition(".")
            if place:
                found.setdefault(base, []).append(self.ids[external_id])
            else:
                found[base] = self.ids[external_id]
        return found

    def _do(self, wish: Wish, found: "Mapping[str, Any] | None", decision: Decision) -> None:
        if decision.action is Action.CONFLICT:
            return
        if found is not None:
            self.ids[wish.external_id] = str(found["id"])
            if decision.body and not self.dry:
                self.client.call("PATCH", self._item(wish), body=decision.body)
            if not found.get("suspended"):
                self._suspend(wish)
            return
        if self.dry:
            self.ids[wish.external_id] = ""
            return
        path = wish.collection.replace("{parent}", quote(self.ids.get(wish.parent, ""), safe=""))
        made = self.client.call("POST", path, body=decision.body).body
        self.ids[wish.external_id] = str(made["id"])
        self._suspend(wish)

    def _suspend(self, wish: Wish) -> None:
        if wish.suspended and not self.dry:
            body = {"reason": wish.suspended[:500]}
            self.client.call("POST", f"{self._item(wish)}/suspend", body=body)

    def _item(self, wish: Wish) -> str:
        parent, id_ = self.ids.get(wish.parent, ""), self.ids[wish.external_id]
        path = wish.item.replace("{parent}", quote(parent, safe=""))
        return path.replace("{id}", quote(id_, safe=""))


def counted(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return how many of each kind had which outcome, as rows of a table."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(outcome.wish.kind, Counter())[str(outcome.action)] += 1
    actions = [str(action) for action in Action]
    return [{"kind": kind, **{a: found[a] for a in actions}} for kind, found in counts.items()]


def _shape(path: str) -> str:
    """Return a path with all its parameters named alike, so that descriptions compare."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))
