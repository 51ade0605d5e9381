"""Which route mail for a domain takes: the server's own, the platform's, or none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailroom.domain.relay import EVERYTHING, SITE, Target, parse_pattern, parse_target


@dataclass(frozen=True, slots=True)
class Routes:
    """One owner's routes by pattern (see `parse_pattern`). The most exact pattern wins:
    the domain, `*.suffix`, `mx:suffix` (the longest of each), then `*`.
    """

    targets: Mapping[str, Target] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> "Routes":
        """Read `pattern=target` texts (see `parse_target`). Raises ValueError for another form."""
        targets: dict[str, Target] = {}
        for text in texts:
            pattern, equals, target = text.partition("=")
            if not equals:
                raise ValueError(f"{text!r} is not pattern=target")
            targets[parse_pattern(pattern.strip())] = parse_target(target.strip())
        return cls(targets)

    def by_name(self, domain: str) -> Target | None:
        """Return the target of `domain` (a lower-case A-label) by its name alone, or None."""
        exact = self.targets.get(domain)
        return exact or self._longest("*.", domain.partition(".")[2])

    @property
    def asks_for_sites(self) -> bool:
        """Say whether a domain's mail exchangers matter here."""
        return any(pattern.startswith(SITE) for pattern in self.targets)

    def by_site(self, hosts: Iterable[str]) -> Target | None:
        """Return the target of a domain by its best mail exchangers `hosts`, or None.

        All of them have to match one pattern: a domain with one foot elsewhere is another site.
        """
        found = [
            (len(pattern), target)
            for pattern, target in self.targets.items()
            if pattern.startswith(SITE) and _all_in(pattern.removeprefix(SITE), hosts)
        ]
        return max(found, key=lambda each: each[0])[1] if found else None

    @property
    def everything(self) -> Target | None:
        """The target of what no other pattern matches."""
        return self.targets.get(EVERYTHING)

    def _longest(self, kind: str, name: str) -> Target | None:
        while name:
            below = self.targets.get(f"{kind}{name}")
            if below:
                return below
            name = name.partition(".")[2]
        return None


def _all_in(suffix: str, hosts: Iterable[str]) -> bool:
    names = list(hosts)
    return bool(names) and all(f".{name}".endswith(f".{suffix}") for name in names)
