"""What is wrong with a set of reply rules, found by trying its own samples and by sense."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.rule import GENERIC, ReplyRule
from mailroom.domain.sending.judgement import Category, Scope, Verb

ANYBODY = "other"  # the provider in whose name generic rules are tried

# The address is bad: the only reasons for which a recipient may be suppressed.
SUPPRESSING = frozenset({Category.BAD_MAILBOX, Category.BAD_DOMAIN, Category.INACTIVE_MAILBOX})
# Their cause travels with the mail: from another address it would be refused again.
_NOT_THE_ADDRESS = frozenset({Scope.TENANT, Scope.DOMAIN})
_FOR_TENANTS = frozenset({Verb.DEFER_TENANT, Verb.HOLD_CAMPAIGN})
_FOR_PATHS = frozenset(
    {
        Verb.ONE_CONNECTION,
        Verb.HALVE_WINDOW,
        Verb.MESSAGES_PER_CONNECTION,
        Verb.SUSPEND,
        Verb.BACKOFF,
        Verb.SLOW,
        Verb.DISABLE_ADDRESS,
    }
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a rule."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"rule {self.rule}: {self.text}"


def problems_of(book: RuleBook) -> tuple[Problem, ...]:
    """Return all that is wrong with a rule set; a set with problems is not to be published.

    Each rule must have samples and a source, and each sample must fire its rule in the name of
    each of the rule's providers: one that fires an earlier rule shows a shadow.
    """
    return tuple(_problems(book))


def _problems(book: RuleBook) -> Iterator[Problem]:
    for name, times in Counter(rule.id for rule in book.rules).items():
        if times > 1:
            yield Problem(name, f"{times} rules have this id")
    for rule in book.rules:
        for text in (*_of_samples(book, rule), *_of_shape(rule)):
            yield Problem(rule.id, text)
    yield from _shadows(book)


def _of_samples(book: RuleBook, rule: ReplyRule) -> Iterator[str]:
    if not rule.samples:
        yield "no sample"
    for number, sample in enumerate(rule.samples, start=1):
        for provider in (ANYBODY,) if rule.generic else rule.providers:
            fired = [each.id for each in book.matching(sample, provider)]
            if rule.id not in fired:
                yield f"sample {number} does not match it ({provider})"
            elif fired[0] != rule.id:
                yield f"sample {number} fires {fired[0]} before it ({provider})"


def _of_shape(rule: ReplyRule) -> Iterator[str]:
    if not rule.source:
        yield "no source"
    if not rule.providers or (GENERIC in rule.providers and not rule.generic):
        yield '"*" stands alone'
    if rule.retry_after and rule.permanent:
        yield "has a time to wait for what is permanent"
    yield from _of_suppression(rule)
    yield from _of_actions(rule)


def _of_suppression(rule: ReplyRule) -> Iterator[str]:
    if not rule.suppress:
        return
    if rule.category not in SUPPRESSING:
        yield f"suppresses for {rule.category}, which is not the address's fault"
    if rule.scope is not Scope.MESSAGE:
        yield f"suppresses a recipient, but blames a {rule.scope}"
    if rule.permanent is False:
        yield "suppresses for what is temporary"


def _of_actions(rule: ReplyRule) -> Iterator[str]:
    verbs = Counter(action.verb for action in rule.actions)
    theirs = rule.scope in _NOT_THE_ADDRESS
    if theirs and Verb.OTHER_ADDRESS in verbs:
        yield f"another address does not cure what a {rule.scope} did"
    if rule.generic and Verb.DISABLE_ADDRESS in verbs:
        yield "a generic rule disables an address for all sites that have no provider"
    misplaced = set() if theirs else _FOR_TENANTS.intersection(verbs)
    if theirs or rule.scope is Scope.MESSAGE:
        misplaced |= _FOR_PATHS.intersection(verbs)
    for verb in sorted(misplaced):
        yield f"{verb} does not go with a rule that blames a {rule.scope}"
    for verb in sorted(verb for verb, times in verbs.items() if times > 1):
        yield f"{verb} comes more than once"


def _shadows(book: RuleBook) -> Iterator[Problem]:
    """Yield rules that an earlier one of the same providers leaves nothing for, as written."""
    seen: list[ReplyRule] = []
    for rule in book.rules:
        for earlier in seen:
            if _covers(earlier, rule):
                yield Problem(rule.id, f"never fires: {earlier.id} takes all it could match")
        seen.append(rule)


def _covers(earlier: ReplyRule, later: ReplyRule) -> bool:
    return (
        set(earlier.providers) >= set(later.providers)
        and (not earlier.phases or (bool(later.phases) and earlier.phases >= later.phases))
        and earlier.code in ("", later.code)
        and earlier.enhanced in ("", later.enhanced)
        and earlier.text in ("", later.text)
    )
