"""Shaping documents: read whole, with all that is wrong with one told at once, by path.

A document is one JSON object: `version`, `defaults`, `providers`, `sites`, `domains`, `address`,
`shared`, `plans`. docs/shaping.md describes it for operators.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.sending.settings import SharedLimit, SharedScope
from mailroom.domain.shaping.fields import ADDRESS, BACKOFF, SETTINGS, Setting, read_rate
from mailroom.domain.shaping.layer import NONE, Layer
from mailroom.domain.shaping.layers import ShapingSet, is_above
from mailroom.domain.shaping.providers import BUILT_IN, RESERVED, ProviderRule, RollUp, merged
from mailroom.domain.warmup.plan import BUILT_IN as BUILT_IN_PLANS
from mailroom.domain.warmup.plan import Plan, PlanError, load_plan

MAX_PROBLEMS = 100
MAX_PROVIDERS = 200
MAX_SITES = 2_000
MAX_DOMAINS = 2_000
MAX_NARROWED = 1_000
MAX_SHARED = 500
MAX_PLANS = 50
MAX_SUFFIXES = 50
MAX_WORDS = 500

_PROVIDER = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SITE = re.compile(r"[a-z0-9._~:\[\]-]{1,200}")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_SUFFIX = re.compile(r"\.?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PART = re.compile(r"[^\s#]{1,253}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

_TOP = (
    *("version", "note", "defaults", "providers", "sites", "domains", "address", "shared"),
    "plans",
)
_REMARKS = ("note", "sources", "reviewed_on")
_SOURCED = (*SETTINGS, *(f"backoff.{name}" for name in BACKOFF), "mx", "roll_up", "rate")
_NARROW = ("pools", "addresses")
_PARTS = {
    SharedScope.POOL_PROVIDER: ("pool", "provider"),
    SharedScope.DKIM_PROVIDER: ("domain", "provider"),
    SharedScope.TENANT_PROVIDER: ("tenant", "provider"),
    SharedScope.TENANT: ("tenant",),
    SharedScope.CAMPAIGN: ("tenant", "tag"),
}


class ShapingError(ValueError):
    """A document is not valid; `problems` are all that is wrong with it, each with its path."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems[:5]))


def load(document: Mapping[str, Any]) -> ShapingSet:
    """Return what a document says. Raises ShapingError with all problems, 100 at most."""
    reader = _Reader()
    loaded = reader.document(document)
    if reader.problems:
        raise ShapingError(reader.problems)
    return loaded


def problems_of(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return all that is wrong with a document, each with its path; none if it is valid."""
    try:
        load(document)
    except ShapingError as error:
        return error.problems
    return ()


@dataclass(slots=True)
class _Reader:
    """Reads a document and gathers what is wrong with it; what is wrong is left out."""

    problems: list[str] = field(default_factory=list)
    plans: dict[str, Plan] = field(default_factory=dict)

    def document(self, given: Any) -> ShapingSet:
        top = self._object("the document", given)
        self._known("", top, _TOP)
        version = top.get("version", "")
        if version != "" and not (isinstance(version, str) and _WORD.fullmatch(version)):
            self._wrong("version", "a word of letters, digits, dots and hyphens")
        self._remarks("", top)
        self.plans = self._plans(top.get("plans", {}))
        rules: dict[str, ProviderRule] = {}
        providers = self._named("providers", top, _PROVIDER, MAX_PROVIDERS, self._provider(rules))
        return ShapingSet(
            defaults=self._layer("defaults", top.get("defaults", {})),
            providers=providers,
            sites=self._named("sites", top, _SITE, MAX_SITES, self._below_provider),
            domains=self._named("domains", top, _DOMAIN, MAX_DOMAINS, self._below_provider),
            address=self._limits("address", top.get("address", {})),
            shared=self._shared(top.get("shared", [])),
            plans=self.plans,
            rules=merged(BUILT_IN, rules),
            version=str(version),
        )

    def _provider(self, rules: dict[str, ProviderRule]) -> Callable[[str, Any], Layer]:
        known = {rule.id: rule for rule in BUILT_IN}

        def read(path: str, given: Any) -> Layer:
            name = path.partition(".")[2]
            found = self._object(path, given)
            base = known.get(name)
            if name in RESERVED:
                self._wrong(path, "no name for a provider")
            elif "mx" in found or "roll_up" in found:
                rules[name] = self._rule(path, name, found, base)
            elif base is None:
                self._wrong(f"{path}.mx", "missing: nobody knows the mail exchangers of this one")
            rest = {key: value for key, value in found.items() if key not in ("mx", "roll_up")}
            return self._layer(path, rest)

        return read

    def _rule(
        self, path: str, name: str, given: Mapping[str, Any], base: ProviderRule | None
    ) -> ProviderRule:
        suffixes = given.get("mx", list(base.suffixes) if base else None)
        if not isinstance(suffixes, list) or not 1 <= len(suffixes) <= MAX_SUFFIXES:
            self._wrong(f"{path}.mx", f"a list of 1 to {MAX_SUFFIXES} names or .suffixes")
            suffixes = []
        for each in suffixes:
            if not isinstance(each, str) or not _SUFFIX.fullmatch(each):
                self._wrong(f"{path}.mx", f"{_cut(each)} is no name like .example.com")
        roll_up = given.get("roll_up", base.roll_up if base else RollUp.PROVIDER)
        if roll_up not in tuple(RollUp):
            self._wrong(f"{path}.roll_up", f"one of {', '.join(RollUp)}")
            roll_up = RollUp.PROVIDER
        return ProviderRule(name, tuple(map(str, suffixes)), RollUp(roll_up))

    def _below_provider(self, path: str, given: Any) -> Layer:
        layer = self._layer(path, given)
        # Caps of warm-up are those of a provider, whichever of its sites the mail goes to.
        if any(each.warmup for each in (layer, *layer.pools.values(), *layer.addresses.values())):
            self._wrong(f"{path}.warmup", "only in defaults and providers, which warm-up goes by")
        return layer

    def _layer(self, path: str, given: Any) -> Layer:
        return self._narrowed(path, given, self._bare)

    def _limits(self, path: str, given: Any) -> Layer:
        return self._narrowed(path, given, self._bare_limits)

    def _narrowed(self, path: str, given: Any, bare: Callable[..., Layer]) -> Layer:
        found = self._object(path, given)
        below = {
            name: self._named(name, found, _PART, MAX_NARROWED, bare, under=f"{path}.")
            for name in _NARROW
        }
        return bare(path, {k: v for k, v in found.items() if k not in _NARROW}, **below)

    def _bare(
        self,
        path: str,
        given: Any,
        pools: Mapping[str, Layer] = NONE,
        addresses: Mapping[str, Layer] = NONE,
    ) -> Layer:
        found = self._object(path, given)
        self._known(path, found, (*SETTINGS, "backoff", "replace", "warmup", "retry", *_REMARKS))
        self._remarks(path, found)
        twin = self._object(f"{path}.backoff", found.get("backoff", {}))
        self._known(f"{path}.backoff", twin, BACKOFF)
        values = self._values(path, found, SETTINGS)
        held = self._values(f"{path}.backoff", twin, BACKOFF)
        values |= {f"backoff.{name}": value for name, value in held.items()}
        self._cross(path, values)
        return Layer(
            values,
            self._flag(f"{path}.replace", found.get("replace", False)),
            self._plan_name(f"{path}.warmup", found.get("warmup", "")),
            self._word(f"{path}.retry", found.get("retry", "")),
            pools,
            addresses,
        )

    def _bare_limits(
        self,
        path: str,
        given: Any,
        pools: Mapping[str, Layer] = NONE,
        addresses: Mapping[str, Layer] = NONE,
    ) -> Layer:
        found = self._object(path, given)
        self._known(path, found, (*ADDRESS, "replace", *_REMARKS))
        self._remarks(path, found)
        replaces = self._flag(f"{path}.replace", found.get("replace", False))
        values = self._values(path, found, ADDRESS)
        return Layer(values, replaces, pools=pools, addresses=addresses)

    def _values(
        self, path: str, given: Mapping[str, Any], settings: Mapping[str, Setting]
    ) -> dict[str, Any]:
        values = {}
        for name in given.keys() & settings.keys():
            try:
                values[settings[name].field or name] = settings[name].read(given[name])
            except (TypeError, ValueError) as error:
                self._wrong(f"{path}.{name}", str(error))
        return values

    def _cross(self, path: str, values: Mapping[str, Any]) -> None:
        """See that what one layer says itself is no contradiction."""
        most = values.get("connections")
        if most is not None:
            for name in ("start_connections", "backoff.connections"):
                if values.get(name, 0) > most:
                    self._wrong(f"{path}.{name}", f"more than connections, which are {most}")
        for name in ("message_rate", "connection_rate"):
            twin = f"backoff.{name}"
            if name in values and twin in values and is_above(values[twin], values[name]):
                self._wrong(f"{path}.{twin}", f"more than the normal {name}, {values[name]}")

    def _shared(self, given: Any) -> list[SharedLimit]:
        if not isinstance(given, list) or len(given) > MAX_SHARED:
            self._wrong("shared", f"a list of at most {MAX_SHARED} limits")
            return []
        found = (self._shared_limit(f"shared.{n}", each) for n, each in enumerate(given, start=1))
        return [each for each in found if each is not None]

    def _shared_limit(self, path: str, given: Any) -> SharedLimit | None:
        found = self._object(path, given)
        self._known(path, found, ("scope", "match", "rate", *_REMARKS))
        self._remarks(path, found)
        before = len(self.problems)
        scope = found.get("scope")
        if scope not in tuple(SharedScope):
            self._wrong(f"{path}.scope", f"one of {', '.join(SharedScope)}")
        else:
            parts, match = _PARTS[SharedScope(scope)], found.get("match")
            right = isinstance(match, list) and len(match) == len(parts)
            if not right or not all(isinstance(e, str) and _PART.fullmatch(e) for e in match or ()):
                self._wrong(f"{path}.match", f"a list of {', '.join(parts)}; * for any")
        rate = self._values(path, found, {"rate": Setting(read_rate, "rate")}).get("rate")
        if "rate" not in found:
            self._wrong(f"{path}.rate", "missing")
        if rate is None or len(self.problems) > before:
            return None
        return SharedLimit(SharedScope(str(scope)), tuple(found["match"]), rate)

    def _plans(self, given: Any) -> dict[str, Plan]:
        found = self._object("plans", given)
        if len(found) > MAX_PLANS:
            self._wrong("plans", f"{len(found):,} of them; at most {MAX_PLANS}")
            return {}
        plans = {}
        for name, stored in found.items():
            if not isinstance(name, str) or not _WORD.fullmatch(name) or name in BUILT_IN_PLANS:
                self._wrong("plans", f"{_cut(name)} is no name for one of them")
                continue
            try:
                plans[name] = load_plan(name, stored)
            except PlanError as error:
                self._wrong(f"plans.{name}", str(error))
        return plans

    def _named(
        self,
        name: str,
        parent: Mapping[str, Any],
        pattern: re.Pattern[str],
        most: int,
        read: Callable[[str, Any], Layer],
        under: str = "",
    ) -> dict[str, Layer]:
        path = f"{under}{name}"
        given = self._object(path, parent.get(name, {}))
        if len(given) > most:
            self._wrong(path, f"{len(given):,} of them; at most {most:,}")
            return {}
        loaded = {}
        for key, value in given.items():
            if not isinstance(key, str) or not pattern.fullmatch(key):
                self._wrong(path, f"{_cut(key)} is no name for one of them")
            else:
                loaded[key] = read(f"{path}.{key}", value)
        return loaded

    def _remarks(self, path: str, given: Mapping[str, Any]) -> None:
        note, day = given.get("note", ""), given.get("reviewed_on", "")
        if not isinstance(note, str) or len(note) > MAX_WORDS:
            self._wrong(_below(path, "note"), f"text of at most {MAX_WORDS} characters")
        if day != "" and not (isinstance(day, str) and _DAY.fullmatch(day)):
            self._wrong(_below(path, "reviewed_on"), "a day like 2026-11-28")
        sources = self._object(_below(path, "sources"), given.get("sources", {}))
        self._known(_below(path, "sources"), sources, _SOURCED)
        if not all(isinstance(each, str) and len(each) <= MAX_WORDS for each in sources.values()):
            self._wrong(
                _below(path, "sources"), f"texts of at most {MAX_WORDS} characters, by setting"
            )

    def _known(self, path: str, given: Mapping[str, Any], names: Iterable[str]) -> None:
        for name in sorted(map(str, given.keys() - set(names))):
            self._wrong(_below(path, name[:64]), "no such setting")

    def _object(self, path: str, given: Any) -> Mapping[str, Any]:
        if isinstance(given, Mapping):
            return given
        self._wrong(path, "an object")
        return {}

    def _flag(self, path: str, given: Any) -> bool:
        if not isinstance(given, bool):
            self._wrong(path, "true or false")
        return given is True

    def _word(self, path: str, given: Any) -> str:
        if given == "" or (isinstance(given, str) and _WORD.fullmatch(given)):
            return str(given)
        self._wrong(path, "a word of letters, digits, dots and hyphens")
        return ""

    def _plan_name(self, path: str, given: Any) -> str:
        name = self._word(path, given)
        if name and name not in self.plans and name not in BUILT_IN_PLANS:
            self._wrong(path, f"there is no warm-up plan {name!r}")
        return name

    def _wrong(self, path: str, text: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{path}: {text}")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _cut(value: Any) -> str:
    return repr(value)[:60]
