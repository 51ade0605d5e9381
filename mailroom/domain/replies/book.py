"""A set of reply rules in their order, and the judgement it gives on a reply.

Order of interpretation (reference mta.md, section 4.2): rules of the provider, generic rules, the
enhanced code if its class agrees, the basic code, words. The first that knows decides.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from mailroom.domain.replies.codes import Enhanced
from mailroom.domain.replies.fallback import judge_unknown
from mailroom.domain.replies.reading import enhanced_of, readable, wait_asked_for
from mailroom.domain.replies.rule import ReplyRule, is_refusal
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement

MOST_REMEMBERED = 2_048  # judgements, and lists of rules to look at

K = TypeVar("K")
V = TypeVar("V")
_Context = tuple[str, str, int, Enhanced | None]
# Words one of which must be there, the search that decides, and the rule.
_Candidate = tuple[tuple[str, ...], Callable[[str], object], ReplyRule]


class RuleBook:
    """Rules that judge. Safe to share between threads: what it remembers only saves work."""

    def __init__(self, rules: Iterable[ReplyRule], version: str = "") -> None:
        self.rules = tuple(rules)
        self.version = version
        self._ordered: dict[str, tuple[ReplyRule, ...]] = {}
        self._named = {name for rule in self.rules for name in rule.providers}
        self._candidates: dict[_Context, tuple[_Candidate, ...]] = {}
        # By what rules see of the text. Numbers stay in it: some rules turn on them (S3150).
        self._judged: dict[tuple[_Context, str], Judgement] = {}

    def judge(self, reply: SmtpReply, provider: str) -> Judgement:
        """Return what the rules say about a reply of a site of `provider`.

        Total: never raises, in bounded time, whatever the peer wrote. A `rule` of "" means that
        nobody knew it (`unknown.py` counts those).
        """
        if provider not in self._named:
            provider = ""
        context = (provider, reply.phase, reply.code, enhanced_of(reply))
        text = readable(reply.text)
        found = self._judged.get((context, text))
        if found is None:
            found = self._judge(context, text)
            _make_room(self._judged)
            self._judged[context, text] = found
        return found

    def rule(self, name: str) -> ReplyRule | None:
        """Return the rule with this id."""
        return next((rule for rule in self.rules if rule.id == name), None)

    def ordered(self, provider: str) -> tuple[ReplyRule, ...]:
        """Return the rules that replies of `provider` are tried with, in that order."""
        if provider not in self._named:
            provider = ""
        found = self._ordered.get(provider)
        if found is None:
            own = [each for each in self.rules if not each.generic and each.is_for(provider)]
            found = (*own, *(rule for rule in self.rules if rule.generic))
            self._ordered[provider] = found
        return found

    def matching(self, reply: SmtpReply, provider: str) -> Iterable[ReplyRule]:
        """Yield all rules that match, the one that decides first."""
        text = readable(reply.text)
        context = (provider, reply.phase, reply.code, enhanced_of(reply))
        for literals, search, rule in self._possible(context):
            if any(literal in text for literal in literals) and search(text):
                yield rule

    def _judge(self, context: _Context, text: str) -> Judgement:
        _, phase, code, enhanced = context
        found = self._by_rule(context, text) or judge_unknown(phase, code, enhanced, text)
        if code < 400 or is_refusal(code, found.permanent):
            return found
        asked = wait_asked_for(text)
        return found if asked is None else replace(found, retry_after=asked)

    def _by_rule(self, context: _Context, text: str) -> Judgement | None:
        for literals, search, rule in self._possible(context):
            for literal in literals:
                if literal in text:
                    if search(text):
                        return rule.judgement(context[2])
                    break
        return None

    def _possible(self, context: _Context) -> tuple[_Candidate, ...]:
        found = self._candidates.get(context)
        if found is None:
            provider, phase, code, enhanced = context
            found = tuple(
                (rule.pattern.literals or ("",), rule.pattern.compiled.search, rule)
                for rule in self.ordered(provider)
                if rule.may_match(phase, code, enhanced)
            )
            _make_room(self._candidates)
            self._candidates[context] = found
        return found


def _make_room(memory: dict[K, V]) -> None:
    if len(memory) >= MOST_REMEMBERED:
        memory.clear()  # cheaper than keeping an order, and as good for what repeats
