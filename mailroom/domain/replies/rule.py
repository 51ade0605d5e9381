"""A reply rule: which replies it is for and what they mean."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mailroom.domain.replies.codes import Enhanced, parse_codes, parse_enhanced
from mailroom.domain.replies.pattern import Pattern, parse_pattern
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import (
    Action,
    Category,
    Judgement,
    Scope,
    Trigger,
)

AT_ONCE = Trigger()
GENERIC = "*"  # in place of providers: for all of them, after their own rules


@dataclass(frozen=True, slots=True)
class ReplyRule:
    """One rule. Empty patterns and phases say nothing; all that are given must agree.

    `providers` are ids of `mailroom/domain/provider.py` and of sites known by their mail
    exchangers, or `*` alone. `code` is like `421|55x`, `enhanced` like `x.7.26|4.7.500-699`,
    `text` a regular expression found in the reply in lower case. `permanent` overrides the class
    of the code; `suppress` (the address is bad) counts only for what is permanent. `retry_after`
    is seconds; what the reply itself asks for goes before it. `source` says where the rule's
    knowledge is from. Raises ValueError naming rule and field.
    """

    id: str
    scope: Scope
    category: Category
    providers: tuple[str, ...] = (GENERIC,)
    phases: frozenset[str] = frozenset()
    code: str = ""
    enhanced: str = ""
    text: str = ""
    actions: tuple[Action, ...] = ()
    trigger: Trigger = AT_ONCE
    permanent: bool | None = None
    suppress: bool = False
    retry_after: float | None = None
    note: str = ""
    source: str = ""
    samples: tuple[SmtpReply, ...] = ()
    has_code: Callable[[int], bool] = field(init=False, repr=False, compare=False)
    has_enhanced: Callable[[Enhanced | None], bool] = field(init=False, repr=False, compare=False)
    pattern: Pattern = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._compile("has_code", "code", parse_codes if self.code else lambda _: _anything)
        parse = parse_enhanced if self.enhanced else lambda _: _anything
        self._compile("has_enhanced", "enhanced", parse)
        self._compile("pattern", "text", parse_pattern if self.text else Pattern)
        if not (self.code or self.enhanced or self.text or self.phases):
            raise ValueError(f"rule {self.id}: text: a rule must say which replies it is for")

    @property
    def generic(self) -> bool:
        """Whether it is for all providers."""
        return self.providers == (GENERIC,)

    def is_for(self, provider: str) -> bool:
        """Say whether the rule is looked at for replies of `provider`."""
        return self.generic or provider in self.providers

    def may_match(self, phase: str, code: int, enhanced: Enhanced | None) -> bool:
        """Say whether phase and codes allow the rule; its text is left to `pattern`."""
        return (
            (not self.phases or phase in self.phases)
            and self.has_code(code)
            and self.has_enhanced(enhanced)
        )

    def judgement(self, code: int) -> Judgement:
        """Return what the rule says about a reply with `code`, without what its text asks for."""
        refused = is_refusal(code, self.permanent)
        return Judgement(
            scope=self.scope,
            category=self.category,
            actions=self.actions,
            trigger=self.trigger,
            rule=self.id,
            permanent=self.permanent,
            suppress=self.suppress and refused,
            retry_after=None if refused else self.retry_after,
        )

    def _compile(self, name: str, source: str, parse: Callable[[str], object]) -> None:
        try:
            object.__setattr__(self, name, parse(getattr(self, source)))
        except ValueError as error:
            raise ValueError(f"rule {self.id}: {source}: {error}") from None


def is_refusal(code: int, permanent: bool | None) -> bool:  # noqa: FBT001 - as in Judgement
    """Say whether a reply is final: its class, unless a rule says otherwise."""
    return 500 <= code < 600 if permanent is None else permanent


def _anything(_: object) -> bool:
    return True
