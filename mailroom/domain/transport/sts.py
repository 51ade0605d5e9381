"""MTA-STS (RFC 8461): a domain's word on which hosts take its mail, and how well protected.

Both texts come from strangers. A malformed one is no policy; nothing of it is guessed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MAX_AGE = 31_557_600  # seconds, a year; RFC 8461 section 3.2
MAX_POLICY = 65_536  # octets of a policy that are read; section 3.3 suggests 64 KB
_MAX_RECORD = 1_024  # characters of a TXT record

_VERSION = re.compile(r"v=STSv1[ \t]*(?:;|\Z)")
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.\-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)\Z")
_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_AGE = re.compile(r"[0-9]{1,10}\Z")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\.?\Z")


class StsMode(StrEnum):
    """What a sender does about a host that fails the policy. Values are stored."""

    ENFORCE = "enforce"  # nothing goes there
    TESTING = "testing"  # mail goes; the failure is reported
    NONE = "none"  # there is no policy any more


class StsError(ValueError):
    """The text is no policy; the message says why."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A policy; `mx` are lower-case host names or `*.` and a name, `max_age` is seconds."""

    mode: StsMode
    max_age: int
    mx: tuple[str, ...] = ()

    def covers(self, host: str) -> bool:
        """Say whether `host` (A-labels) is one that the domain named."""
        name = host.lower().removesuffix(".")
        return any(_matches(pattern, name) for pattern in self.mx)

    @property
    def lines(self) -> tuple[str, ...]:
        """The policy as a report quotes it (RFC 8460 section 4.4)."""
        hosts = (f"mx: {pattern}" for pattern in self.mx)
        return ("version: STSv1", f"mode: {self.mode}", *hosts, f"max_age: {self.max_age}")


def parse_sts_record(texts: Iterable[str]) -> str | None:
    """Return the policy id that the TXT records at `_mta-sts.` name, None if there is none.

    Records of another kind are ignored; two of this kind, or a malformed one, count as none
    (RFC 8461 section 3.1).
    """
    ours = [text for text in texts if _VERSION.match(text)]
    if len(ours) != 1 or len(ours[0]) > _MAX_RECORD:
        return None
    found: dict[str, str] = {}
    parts = [part.strip(" \t") for part in ours[0].split(";")]
    for part in parts[1:-1] + [part for part in parts[-1:] if part]:
        field = _FIELD.match(part)
        if field is None:
            return None
        found.setdefault(field[1], field[2])
    id_ = found.get("id", "")
    return id_ if _ID.match(id_) else None


def parse_sts_policy(octets: bytes) -> StsPolicy:
    """Return the policy that a web server gave (RFC 8461 section 3.2).

    Fields that are unknown, and all but the first of those that stand once, are ignored. A longer
    `max_age` than a year is a year. Raises StsError for anything that is no valid policy.
    """
    if len(octets) > MAX_POLICY:
        raise StsError("it is too long")
    first, hosts = _fields(octets)
    if first.get("version") != "STSv1":
        raise StsError("it is not version STSv1")
    mode = first.get("mode", "")
    if mode not in tuple(StsMode):
        raise StsError("it has no mode that is known")
    age = first.get("max_age", "")
    if not _AGE.match(age):
        raise StsError("it has no max_age in seconds")
    bad = next((host for host in hosts if len(host) > 255 or not _HOST.match(host)), None)
    if bad is not None:
        raise StsError(f"{bad[:60]!a} is no host name")
    if not hosts and mode != StsMode.NONE:
        raise StsError("it names no mx")
    names = dict.fromkeys(host.lower().removesuffix(".") for host in hosts)
    return StsPolicy(StsMode(mode), min(int(age), MAX_AGE), tuple(names))


def _fields(octets: bytes) -> tuple[dict[str, str], list[str]]:
    """Return the fields that stand once, and all the hosts."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise StsError("it is not UTF-8") from None
    first: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.split("\n"):
        name, colon, value = line.removesuffix("\r").partition(":")
        if not colon:
            if line.strip(" \t\r"):
                raise StsError("a line is no field")
            continue
        if name == "mx":
            hosts.append(value.strip(" \t"))
        first.setdefault(name, value.strip(" \t"))
    return first, hosts


def _matches(pattern: str, host: str) -> bool:
    """Compare; a wildcard stands for exactly one whole label, the first (section 4.1)."""
    if not pattern.startswith("*."):
        return pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:]


def dump_sts(policy: StsPolicy) -> dict[str, Any]:
    """Return a policy as JSON-ready values."""
    return {"mode": str(policy.mode), "max_age": policy.max_age, "mx": list(policy.mx)}


def load_sts(body: Mapping[str, Any]) -> StsPolicy:
    """Read what `dump_sts` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    return StsPolicy(StsMode(body["mode"]), int(body["max_age"]), tuple(map(str, body["mx"])))
