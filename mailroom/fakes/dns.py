"""The ports of `mailroom.ports.dns` in memory."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence

from mailroom.domain.dns.answers import DnsAnswer, Kind, Lookup, Question
from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.spf import SpfAnswer, SpfResult, spf_records
from mailroom.ports.dns import KeyMaterial

_MAX_ALIASES = 8
_SIZES = (2048, 3072, 4096)


class MemoryDns:
    """The AuthoritativeDns port over a dictionary; `publish` and `withdraw` change it."""

    def __init__(self) -> None:
        self._records: dict[Question, list[str]] = {}
        self.broken: set[str] = set()  # names whose servers do not answer
        self.asked: list[Question] = []

    def publish(self, name: str, kind: str, *values: str) -> None:
        """Put records at a name in place of those of that type."""
        self._records[Question(name.lower(), Kind(kind))] = list(values)

    def withdraw(self, name: str, kind: str) -> None:
        """Take the records of a type away."""
        self._records.pop(Question(name.lower(), Kind(kind)), None)

    def ask(self, question: Question) -> DnsAnswer:
        """See AuthoritativeDns.ask."""
        self.asked.append(question)
        name = question.name.lower()
        aliases: list[str] = []
        for _ in range(_MAX_ALIASES):
            if name in self.broken:
                return DnsAnswer(Lookup.FAILED, problem="no answer in time")
            values = self._records.get(Question(name, question.kind))
            if values:
                return DnsAnswer(Lookup.FOUND, tuple(values), tuple(aliases))
            target = self._records.get(Question(name, Kind.CNAME))
            if not target:
                return DnsAnswer(self._nothing(name), aliases=tuple(aliases))
            name = target[0]
            aliases.append(name)
        return DnsAnswer(Lookup.FAILED, aliases=tuple(aliases), problem="too many aliases")

    def _nothing(self, name: str) -> Lookup:
        exists = any(
            known.name == name or known.name.endswith(f".{name}")
            for known, values in self._records.items()
            if values
        )
        return Lookup.EMPTY if exists else Lookup.ABSENT


class MemorySpf:
    """The SpfChecker port: follows includes by their text alone, and passes what it reaches."""

    def __init__(self, dns: MemoryDns) -> None:
        self._dns = dns

    def evaluate(self, domain: str, include: str, addresses: Sequence[str]) -> SpfAnswer:
        """See SpfChecker.evaluate."""
        answer = self._dns.ask(Question(domain, Kind.TXT))
        if answer.lookup is Lookup.FAILED:
            return SpfAnswer(SpfResult.TEMPERROR, problem=answer.problem)
        records = spf_records(answer.values)
        if not records:
            return SpfAnswer(SpfResult.NONE)
        if len(records) > 1:
            return SpfAnswer(SpfResult.PERMERROR, problem="two or more records")
        included = [term[8:] for term in records[0].split() if term.startswith("include:")]
        reached = include in included or any(
            self.evaluate(name, include, addresses).reached for name in included if name != domain
        )
        passes = reached and bool(addresses)
        result = SpfResult.PASS if passes else SpfResult.SOFTFAIL
        return SpfAnswer(result, reached, lookups=len(included))


class MemoryDkimKeys:
    """The DkimKeys port with octets that are no keys, different each time and fast to make."""

    def __init__(self) -> None:
        self._made: dict[bytes, KeyMaterial] = {}

    def generate(self, kind: KeyKind, bits: int = 2048) -> KeyMaterial:
        """See DkimKeys.generate."""
        if kind is KeyKind.RSA and bits not in _SIZES:
            raise ValueError("an RSA key is made with 2048, 3072, 4096 bits")
        return self.make(kind, bits if kind is KeyKind.RSA else 256)

    def make(self, kind: KeyKind, bits: int) -> KeyMaterial:
        """Make a key of any size, such as a tenant may bring."""
        private = f"{kind} {bits} {len(self._made)}".encode()
        size = 32 if kind is KeyKind.ED25519 else bits // 8 + 38
        public = b64encode(hashlib.shake_256(private).digest(size)).decode()
        self._made[private] = KeyMaterial(kind, bits, public, private)
        return self._made[private]

    def inspect(self, private: bytes) -> KeyMaterial:
        """See DkimKeys.inspect. Knows the keys it made."""
        try:
            return self._made[private]
        except KeyError:
            raise ValueError("this is no private key in PEM or DER") from None
