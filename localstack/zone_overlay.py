"""Names that were set over HTTP: they stand in place of the zone file's until they are removed.

In memory only. Also keeps whose turn it is among the answers of changing names.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dns.exception
import dns.name
import dns.rdatatype
from dns.name import Name
from dns.rdatatype import RdataType

from localstack.dns_zone import KEYS, ZoneError, build_zone

MAX_NAMES = 10_000
MAX_RECORDS = 1_000  # of one name
MAX_COUNTED = 100_000  # names and types whose queries are counted

_ANSWERS = ("servfail", "silent", "nxdomain")


class Overlay:
    """The names set, and what has been asked. `version` changes whenever the names do."""

    def __init__(self) -> None:
        self.version = 0
        self._entries: dict[Name, dict[str, Any]] = {}
        self._turns: Counter[tuple[Name, RdataType]] = Counter()
        self._asked: Counter[tuple[Name, RdataType]] = Counter()

    def put(self, name: str, document: object) -> dict[str, Any]:
        """Set one name, of which the zone file then says nothing; return it as `show` does.

        `document`: `{"records": [[type, value, ttl?], ...], "changing": [[type, [value or list of
        values, ...], ttl?], ...]}`, or `{"answer": "servfail" | "silent" | "nxdomain"}`. No
        records: the name exists, with nothing. Changing names start over. Raises ZoneError, and
        then everything is as before.
        """
        owner = _owner(name)
        if not isinstance(document, dict) or not document:
            raise ZoneError('send {"records": [...]}, {"changing": [...]} or {"answer": ...}')
        entry = _read(document)
        build_zone(_written(owner, entry))
        if owner not in self._entries and len(self._entries) >= MAX_NAMES:
            raise ZoneError(f"at most {MAX_NAMES} names")
        self._entries[owner] = entry
        self._forget(owner)
        return self._shown(owner)

    def show(self, name: str) -> dict[str, Any] | None:
        """Return a name that was set, with how often it was asked for since, by type."""
        owner = _owner(name)
        return self._shown(owner) if owner in self._entries else None

    def all(self) -> list[dict[str, Any]]:
        """Return all names that were set."""
        return [self._shown(owner) for owner in self._entries]

    def remove(self, name: str) -> bool:
        """Let the zone file speak of this name again; return whether it was set."""
        owner = _owner(name)
        known = self._entries.pop(owner, None) is not None
        self._forget(owner)
        return known

    def clear(self) -> int:
        """Remove all names; return how many there were."""
        owners = list(self._entries)
        for owner in owners:
            del self._entries[owner]
            self._forget(owner)
        return len(owners)

    def over(self, document: Mapping[str, object]) -> dict[str, object]:
        """Return the zone file's document with the names set in place of its own."""
        if not self._entries:
            return dict(document)
        kept: dict[str, list[Any]] = {key: [] for key in KEYS}
        parts = [_without(document, self._entries)]
        parts += [_written(owner, entry) for owner, entry in self._entries.items()]
        for part in parts:
            for key, entries in part.items():
                kept[key] += entries
        return dict(kept)

    def note(self, name: Name, rdtype: RdataType) -> None:
        """Count a query."""
        if len(self._asked) < MAX_COUNTED or (name, rdtype) in self._asked:
            self._asked[name, rdtype] += 1

    def turn(self, name: Name, rdtype: RdataType) -> int:
        """Return how often a changing name was asked for this type before."""
        self._turns[name, rdtype] += 1
        return self._turns[name, rdtype] - 1

    def _forget(self, owner: Name) -> None:
        self.version += 1
        for counter in (self._turns, self._asked):
            for key in [key for key in counter if key[0] == owner]:
                del counter[key]

    def _shown(self, owner: Name) -> dict[str, Any]:
        asked = {
            dns.rdatatype.to_text(rdtype): count
            for (name, rdtype), count in self._asked.items()
            if name == owner
        }
        return {"name": str(owner)} | self._entries[owner] | {"asked": asked}


def _owner(name: str) -> Name:
    try:
        return dns.name.from_text(name, dns.name.root).canonicalize()
    except dns.exception.DNSException as error:
        raise ZoneError(f"{name!r} is not a domain name: {error}") from error


def _read(document: dict[Any, Any]) -> dict[str, Any]:
    unknown = sorted(str(key) for key in set(document) - {"records", "changing", "answer"})
    if unknown:
        raise ZoneError(f"unknown key {unknown[0]!r}: use records, changing, answer")
    if "answer" in document:
        if len(document) > 1 or document["answer"] not in _ANSWERS:
            raise ZoneError(f"answer stands alone and is one of {', '.join(_ANSWERS)}")
        return dict(document)
    for key, entries in document.items():
        if not isinstance(entries, list) or not all(isinstance(each, list) for each in entries):
            raise ZoneError(f"{key} must be a list of lists")
        if len(entries) > MAX_RECORDS:
            raise ZoneError(f"at most {MAX_RECORDS} {key} for one name")
    return dict(document)


def _written(owner: Name, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a zone with only this name."""
    name = str(owner)
    if "answer" in entry:
        return {entry["answer"]: [name]} if entry["answer"] != "nxdomain" else {}
    found = {key: [[name, *each] for each in entries] for key, entries in entry.items()}
    return found | {"nodata": [name]}


def _without(document: Mapping[str, object], owners: Mapping[Name, object]) -> dict[str, Any]:
    """Return a good zone's document without what it says of `owners`."""
    left: dict[str, Any] = {}
    for key, entries in document.items():
        if isinstance(entries, list):
            left[key] = [
                each
                for each in entries
                if _owner(each[0] if isinstance(each, list) else each) not in owners
            ]
    return left
