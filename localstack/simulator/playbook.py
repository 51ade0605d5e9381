"""What tests make hosts and recipients do, step by step: the scripts behind `/scripts/KEY`.

A script belongs to a host or to a recipient. Each step waits for its phase, is played `times`
times, and then the next step of that phase has its turn; with none left, the tables rule.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localstack.simulator.steps import Phase, Step
from localstack.simulator.written import ScriptError, WrittenStep, parse_steps
from localstack.zones import RECIPIENT_DOMAIN, scriptable_hosts

MAX_SCRIPTS = 10_000
MAX_KEY = 320  # octets: the longest mail address (RFC 5321 section 4.5.3.1)
KEPT_USES = 1_000


@dataclass(slots=True)
class _Script:
    kind: str
    key: str
    steps: list[WrittenStep]
    used: list[int]
    uses: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_USES))

    def shown(self) -> dict[str, Any]:
        steps = [
            dict(each.written) | {"times": each.times, "used": used}
            for each, used in zip(self.steps, self.used, strict=True)
        ]
        return {"key": self.key, "kind": self.kind, "steps": steps, "uses": list(self.uses)}


class Playbook:
    """All scripts. Keys are as `PUT /scripts/KEY` takes them; see `put`."""

    def __init__(self, hosts: Mapping[str, str] | None = None) -> None:
        """`hosts`: name -> address of every host that may have a script."""
        self._hosts = scriptable_hosts() if hosts is None else dict(hosts)
        self._scripts: dict[tuple[str, str], _Script] = {}

    def put(self, key: str, document: object) -> dict[str, Any]:
        """Set the script of `key`: a list of steps; return it as `show` does.

        A key is a host (its name, its domain or its address), a mail address, or a local part
        with its tag. Raises ScriptError, and then an earlier script stays.
        """
        found = self._place(key)
        steps = parse_steps(document, is_host=found[0] == "host")
        if found not in self._scripts and len(self._scripts) >= MAX_SCRIPTS:
            raise ScriptError(f"at most {MAX_SCRIPTS} scripts")
        self._scripts[found] = _Script(found[0], key, steps, [0] * len(steps))
        return self._scripts[found].shown()

    def show(self, key: str) -> dict[str, Any] | None:
        """Return the script with how often each step was `used`, and the newest 1,000 uses."""
        script = self._scripts.get(self._place(key))
        return None if script is None else script.shown()

    def keys(self) -> list[str]:
        """Return the keys of all scripts."""
        return [script.key for script in self._scripts.values()]

    def remove(self, key: str) -> bool:
        """Forget a script; return whether there was one."""
        return self._scripts.pop(self._place(key), None) is not None

    def clear(self) -> int:
        """Forget all scripts; return how many there were."""
        deleted = len(self._scripts)
        self._scripts.clear()
        return deleted

    def next_step(
        self, phase: Phase, *, host: str, recipients: Iterable[str], at: str, peer: str
    ) -> Step | None:
        """Use up and return what is to be played now: the host's script goes first.

        `host` is an address, `at` the time of day as text, for the record of uses.
        """
        if not self._scripts:
            return None
        places = [("host", host)]
        for recipient in recipients:
            address = recipient.lower()
            places += [("recipient", address), ("recipient", address.rpartition("@")[0])]
        for place in places:
            script = self._scripts.get(place)
            if script is None:
                continue
            for number, each in enumerate(script.steps):
                if each.phase is phase and script.used[number] < each.times:
                    script.used[number] += 1
                    script.uses.append({"at": at, "phase": phase, "step": number, "peer": peer})
                    return each.step
        return None

    def _place(self, key: str) -> tuple[str, str]:
        name = key.lower()
        if not name or len(name) > MAX_KEY:
            raise ScriptError(f"a key has 1 to {MAX_KEY} characters")
        if name in self._hosts:
            return "host", self._hosts[name]
        if name in self._hosts.values():
            return "host", name
        if "@" not in name and name.endswith(f".{RECIPIENT_DOMAIN}"):
            raise ScriptError(f"no host {key!r} here that could have a script")
        return "recipient", name
