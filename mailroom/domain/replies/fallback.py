"""What a reply means when no rule knows it: by its enhanced code, its basic code, its phase, its
words. Pure tables; nothing here acts on more than the message, except where a connection failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from mailroom.domain.replies.codes import Enhanced
from mailroom.domain.reply import Phase
from mailroom.domain.sending.judgement import Action, Category, Judgement, Scope, Verb

_OPENING = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS})
_MAIL = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT, Phase.DNS})

# RFC 3463, RFC 5248's registry at IANA, RFC 7372, RFC 7505: by subject and detail.
_DETAILS: Mapping[tuple[int, int], Category] = {
    (1, 0): Category.BAD_MAILBOX,
    (1, 1): Category.BAD_MAILBOX,
    (1, 2): Category.BAD_DOMAIN,
    (1, 3): Category.BAD_MAILBOX,
    (1, 4): Category.BAD_MAILBOX,
    (1, 6): Category.BAD_MAILBOX,
    (1, 7): Category.INVALID_SENDER,
    (1, 8): Category.INVALID_SENDER,
    (1, 10): Category.BAD_DOMAIN,
    (2, 0): Category.INACTIVE_MAILBOX,
    (2, 1): Category.INACTIVE_MAILBOX,
    (2, 2): Category.QUOTA_ISSUES,
    (2, 3): Category.QUOTA_ISSUES,
    (3, 1): Category.QUOTA_ISSUES,
    (3, 2): Category.BAD_CONNECTION,
    (3, 4): Category.CONTENT_RELATED,
    (3, 5): Category.BAD_CONFIGURATION,
    (4, 1): Category.NO_ANSWER,
    (4, 2): Category.BAD_CONNECTION,
    (4, 5): Category.BAD_CONNECTION,
    (4, 7): Category.MESSAGE_EXPIRED,
    (5, 3): Category.QUOTA_ISSUES,
    (7, 10): Category.TLS_POLICY,
    (7, 11): Category.TLS_POLICY,
    (7, 13): Category.INACTIVE_MAILBOX,
    (7, 17): Category.INACTIVE_MAILBOX,
    (7, 20): Category.AUTHENTICATION,
    (7, 21): Category.AUTHENTICATION,
    (7, 22): Category.AUTHENTICATION,
    (7, 23): Category.AUTHENTICATION,
    (7, 24): Category.AUTHENTICATION,
    (7, 25): Category.DNS,
    (7, 26): Category.AUTHENTICATION,
    (7, 27): Category.INVALID_SENDER,
    (7, 28): Category.RATE_LIMITED,
}
# By subject alone, where the detail is 0, unknown, or somebody's own.
_SUBJECTS: Mapping[int, Category] = {
    1: Category.BAD_MAILBOX,
    2: Category.INACTIVE_MAILBOX,
    3: Category.OTHER,
    4: Category.ROUTING_ERRORS,
    5: Category.PROTOCOL_ERRORS,
    6: Category.CONTENT_RELATED,
    7: Category.POLICY_RELATED,
}
_SCOPES: Mapping[tuple[int, int], Scope] = {
    (3, 2): Scope.PATH,
    (3, 5): Scope.CONFIGURATION,
    (4, 1): Scope.PATH,
    (4, 2): Scope.PATH,
    (4, 5): Scope.PATH,
    (7, 25): Scope.CONFIGURATION,
    (7, 28): Scope.PATH,
    **dict.fromkeys([(7, detail) for detail in (20, 21, 22, 23, 24, 26, 27)], Scope.DOMAIN),
}
# The address is bad for good (`outcome.bounce_kind` says the same).
_BAD_ADDRESS = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10), (2, 1), (7, 13), (7, 17)})
_BASIC: Mapping[int, Category] = {
    421: Category.BAD_CONNECTION,
    452: Category.QUOTA_ISSUES,
    551: Category.BAD_MAILBOX,
    552: Category.QUOTA_ISSUES,
    553: Category.BAD_MAILBOX,
    556: Category.BAD_DOMAIN,
    **dict.fromkeys((500, 501, 502, 503, 504, 455, 555), Category.PROTOCOL_ERRORS),
    **dict.fromkeys((530, 534, 535, 538), Category.BAD_CONFIGURATION),
}
# Words that still say something; the first that is there counts.
_WORDS: tuple[tuple[str, Category], ...] = (
    ("virus", Category.VIRUS_RELATED),
    ("malware", Category.VIRUS_RELATED),
    ("spam", Category.SPAM_RELATED),
    ("dmarc", Category.AUTHENTICATION),
    ("dkim", Category.AUTHENTICATION),
    ("spf", Category.AUTHENTICATION),
    ("blacklist", Category.SPAM_RELATED),
    ("blocklist", Category.SPAM_RELATED),
    ("reputation", Category.SPAM_RELATED),
    ("relay", Category.RELAYING_ISSUES),
    ("quota", Category.QUOTA_ISSUES),
    ("starttls", Category.TLS_POLICY),
    ("too many", Category.RATE_LIMITED),
    ("policy", Category.POLICY_RELATED),
    ("dns", Category.DNS),
    ("timeout", Category.BAD_CONNECTION),
    ("timed out", Category.BAD_CONNECTION),
    ("mailbox", Category.BAD_MAILBOX),
    ("recipient", Category.BAD_MAILBOX),
)
_STRONG = len(_WORDS) - 2  # the last two name what every refusal of a policy names too


def judge_unknown(phase: str, code: int, enhanced: Enhanced | None, text: str) -> Judgement:
    """Return the judgement on a reply that no rule knows; `text` is `readable`.

    The enhanced code counts where its class is the basic code's; `rule` is then
    `enhanced:<subject>.<detail>`. In all else `rule` is empty. A refusal before MAIL is about the
    path, never about the mail that waits.
    """
    if 200 <= code < 400:
        return Judgement()
    if code == 0:
        return _silence(phase)
    if phase in _OPENING:
        return Judgement(Scope.PATH, _basic(code, text, Category.BAD_CONNECTION))
    if phase == Phase.AUTH:
        return Judgement(Scope.CONFIGURATION, Category.BAD_CONFIGURATION)
    closes = (Action(Verb.CLOSE_CONNECTION),) if code == 421 else ()
    if enhanced is None or enhanced[0] * 100 != code - code % 100:
        scope = Scope.PATH if code == 421 else Scope.MESSAGE
        suppress = code == 556 and phase in _MAIL
        return Judgement(scope, _basic(code, text, Category.OTHER), closes, suppress=suppress)
    found = _by_enhanced(enhanced[1:], 500 <= code < 600 and phase in _MAIL)
    if enhanced[1:] in _VAGUE:
        words = _WORDS[:_STRONG] if enhanced[1] == 7 else _WORDS
        found = replace(found, category=_by_words(text, words) or found.category)
    return replace(found, actions=closes, scope=Scope.PATH) if closes else found


# "Other or undefined status" of a kind, and the one code that everybody uses for everything.
_VAGUE = frozenset({(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (7, 1)})


@lru_cache(1_024)
def _by_enhanced(detail: tuple[int, int], refused: bool) -> Judgement:  # noqa: FBT001 - a key
    category = _DETAILS.get(detail) or _SUBJECTS.get(detail[0], Category.OTHER)
    known = detail in _DETAILS and detail not in _VAGUE
    return Judgement(
        _SCOPES.get(detail, Scope.MESSAGE),
        category,
        rule=f"enhanced:{detail[0]}.{detail[1]}" if known else "",
        suppress=refused and detail in _BAD_ADDRESS,
    )


def _silence(phase: str) -> Judgement:
    """Return the judgement on no reply at all."""
    match phase:
        case Phase.DOT:
            return Judgement(Scope.PATH, Category.UNCERTAIN)
        case Phase.DNS:
            return Judgement(Scope.MESSAGE, Category.DNS)
        case Phase.CONNECT:
            return Judgement(Scope.PATH, Category.NO_ANSWER)
        case _:
            return Judgement(Scope.PATH, Category.BAD_CONNECTION)


def _basic(code: int, text: str, otherwise: Category) -> Category:
    if code in _BASIC and code not in (421, 552, 553):
        return _BASIC[code]
    return _by_words(text, _WORDS) or _BASIC.get(code, otherwise)


def _by_words(text: str, words: Sequence[tuple[str, Category]]) -> Category | None:
    return next((category for word, category in words if word in text), None)
