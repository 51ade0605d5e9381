"""The SpfChecker port on pyspf, which asks the DNS through ours.

pyspf evaluates as RFC 7208 has it: includes, redirects, macros, at most ten terms that look
something up and two look-ups in vain.
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import spf

from mailroom.domain.dns.answers import Kind, Lookup, Question
from mailroom.domain.dns.names import same_name
from mailroom.domain.dns.spf import SpfAnswer, SpfResult
from mailroom.ports.dns import AuthoritativeDns

SECONDS = 20.0  # for one evaluation, RFC 7208 section 4.6.4
NOBODY = "192.0.2.1"  # an address of documentation (RFC 5737): matches no network in use
MAX_ADDRESSES = 8  # that are evaluated, each on its own
_MAX_PROBLEM = 200
_LABEL = 64  # octets of a label, and one more
_WORST = (
    SpfResult.PERMERROR,
    SpfResult.TEMPERROR,
    SpfResult.FAIL,
    SpfResult.SOFTFAIL,
    SpfResult.NEUTRAL,
    SpfResult.NONE,
    SpfResult.PASS,
)


class PyspfChecker:
    """Evaluates for each address; answers of the DNS are shared between them."""

    def __init__(
        self,
        dns: AuthoritativeDns,
        *,
        clock: Callable[[], float] = monotonic,
        seconds: float = SECONDS,
    ) -> None:
        """Take a monotonic `clock` in seconds."""
        self._dns = dns
        self._clock = clock
        self._seconds = seconds

    def evaluate(self, domain: str, include: str, addresses: Sequence[str]) -> SpfAnswer:
        """See SpfChecker.evaluate."""
        known: dict[Question, list[Any]] = {}
        deadline = self._clock() + self._seconds
        answers = []
        for address in list(addresses)[:MAX_ADDRESSES] or [NOBODY]:
            query = _Query(address, domain, include, self._asker(known, deadline))
            answers.append(query.answer())
        worst = min(answers, key=lambda each: _WORST.index(each.result))
        return SpfAnswer(
            worst.result,
            reached=all(each.reached for each in answers),
            lookups=max(each.lookups for each in answers),
            problem=worst.problem,
        )

    def _asker(
        self, known: dict[Question, list[Any]], deadline: float
    ) -> Callable[[Question], list[Any]]:
        def ask(question: Question) -> list[Any]:
            if question not in known:
                if self._clock() > deadline:
                    raise spf.TempError("the DNS took too long")
                answer = self._dns.ask(question)
                if answer.lookup is Lookup.FAILED:
                    raise spf.TempError(f"{question.name}: {answer.problem}")
                known[question] = [_as_pyspf(question.kind, text) for text in answer.values]
            return known[question]

        return ask


class _Query(spf.query):  # type: ignore[misc]  # pyspf has no types
    """One evaluation. Remembers whether it came to the record of `include`."""

    def __init__(
        self, address: str, domain: str, include: str, ask: Callable[[Question], list[Any]]
    ) -> None:
        super().__init__(i=address, s=f"postmaster@{domain}", h=domain)
        self._include = include
        self._ask = ask
        self._reached = False

    def answer(self) -> SpfAnswer:
        """Evaluate. Records that pyspf stumbles over are errors of the record."""
        try:
            result = SpfResult(self.check()[0])
        except (AssertionError, LookupError, TypeError, ValueError):
            return SpfAnswer(
                SpfResult.PERMERROR, self._reached, self.lookups, "the record cannot be read"
            )
        erred = result in (SpfResult.PERMERROR, SpfResult.TEMPERROR)
        problem = str(self.prob)[:_MAX_PROBLEM] if erred else ""
        return SpfAnswer(result, self._reached, self.lookups, problem)

    def check1(self, record: Any, domain: str, recursion: int) -> Any:
        """See pyspf: it comes here with each record, the first as well as included ones."""
        if same_name(domain, self._include):
            self._reached = True
        return super().check1(record, domain, recursion)

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: Any = None) -> list[Any]:
        """Answer pyspf's questions; nothing found counts towards its limit, as in pyspf."""
        asked = str(name).rstrip(".").lower()
        if not all(0 < len(label) < _LABEL for label in asked.split(".")):
            return []  # a macro made a name that cannot be
        found = self._ask(Question(asked, Kind(qtype)))
        if not found and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"Void lookup limit of {spf.MAX_VOID_LOOKUPS} exceeded")
        return list(found)


def _as_pyspf(kind: Kind, text: str) -> Any:
    """Spell a record as pyspf wants it: a TXT as octets, an MX as a pair."""
    if kind is Kind.TXT:
        return [text.encode()]
    if kind is Kind.MX:
        preference, _, host = text.partition(" ")
        return int(preference), host
    return text
