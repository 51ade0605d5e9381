"""What a reply means for the recipient it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Category, Judgement, Scope


class Verdict(StrEnum):
    """How one attempt ended."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    UNCERTAIN = "uncertain"  # connection lost after the final dot: it may have been taken


class BounceKind(StrEnum):
    """Whose fault a permanent refusal is."""

    HARD = "hard"  # the address is bad
    SOFT = "soft"  # this message failed for good; the address may be fine
    BLOCK = "block"  # we were refused: reputation, policy, authentication


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict with the reply it rests on; `bounce` is set exactly when it bounced."""

    verdict: Verdict
    reply: SmtpReply
    bounce: BounceKind | None = None


def classify_reply(reply: SmtpReply) -> Outcome:
    """Decide what `reply` means for the recipient it answers.

    Total: every code and phase yields an outcome. Doubt defers, because a wrong retry costs
    seconds and a wrong bounce costs mail. Where Postal defers for 31 hours (null MX, a domain
    that does not exist) the refusal is permanent (RFC 7505, RFC 5321 section 5.1).
    """
    if reply.phase == Phase.DOT and 200 <= reply.code < 300:
        return Outcome(Verdict.SENT, reply)
    if reply.code == 0 and reply.phase == Phase.DOT:
        return Outcome(Verdict.UNCERTAIN, reply)
    if 500 <= reply.code < 600 and _is_about_mail(reply):
        return Outcome(Verdict.BOUNCED, reply, bounce_kind(reply))
    return Outcome(Verdict.DEFERRED, reply)


def _is_about_mail(reply: SmtpReply) -> bool:
    """Say whether a 5xx refuses this mail rather than the way it was offered."""
    # Before MAIL it is about the connection: another MX, or the same one later, may take the
    # message.
    if reply.phase not in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT, Phase.DNS):
        return False
    # 503: we and the peer fell out of step. 530 to 539 (RFC 4954, RFC 3207) ask for a login or
    # for TLS first: a matter of settings, theirs or ours, that somebody will put right.
    if reply.code == 503 or 530 <= reply.code < 540:
        return False
    # 500 and 502 to a command say that it was not understood; to the message, that it is unfit.
    if reply.code in (500, 502) and reply.phase != Phase.DOT:
        return False
    return reply.enhanced not in _FOR_NOW


# Microsoft: this mailbox has had all it takes in an hour.
_FOR_NOW = frozenset({(5, 2, 121), (5, 2, 122)})


def bounce_kind(reply: SmtpReply) -> BounceKind:
    """Say whose fault a permanent refusal is, by its enhanced code (RFC 3463).

    Without one it is the message's: blaming the address costs a customer, blaming a message costs
    that message. The exception is 556 (RFC 7504), which says that the domain takes no mail.
    """
    match reply.enhanced:
        case None if reply.code == 556:
            return BounceKind.HARD
        case (5, 1, 1 | 2 | 3 | 6 | 10) | (5, 2, 1) | (5, 4, 4):
            return BounceKind.HARD
        case (5, 7, 13 | 17):  # RFC 5248 registry: user account disabled, mailbox owner changed
            return BounceKind.HARD
        case (5, 7, _) | (5, 1, 7 | 8):  # 5.1.7 and 5.1.8: the sender's address is refused
            return BounceKind.BLOCK
        case _:
            return BounceKind.SOFT


# What a category says of a refusal; one that is not here leaves it to the code. That an address
# is bad is said by a rule that suppresses: others of these categories are not sure enough, and a
# hard bounce counts against the tenant.
_KINDS: Mapping[Category, BounceKind] = {
    Category.BAD_MAILBOX: BounceKind.SOFT,
    Category.INACTIVE_MAILBOX: BounceKind.SOFT,
    Category.POLICY_RELATED: BounceKind.BLOCK,
    Category.SPAM_RELATED: BounceKind.BLOCK,
    Category.AUTHENTICATION: BounceKind.BLOCK,
    Category.INVALID_SENDER: BounceKind.BLOCK,
    Category.RATE_LIMITED: BounceKind.BLOCK,
    Category.RELAYING_ISSUES: BounceKind.BLOCK,
    Category.GREYLISTED: BounceKind.BLOCK,
    Category.TLS_POLICY: BounceKind.BLOCK,
    Category.CONTENT_RELATED: BounceKind.SOFT,
    Category.VIRUS_RELATED: BounceKind.SOFT,
    Category.QUOTA_ISSUES: BounceKind.SOFT,
}


def judged(outcome: Outcome, judgement: Judgement) -> Outcome:
    """Return `outcome` as the rules see it: they may overrule the class of a code.

    What was accepted stays accepted, and what is unknown unknown. Silence (code 0) is never made
    permanent: no rule has read anything.
    """
    if outcome.verdict not in (Verdict.DEFERRED, Verdict.BOUNCED):
        return outcome
    permanent = outcome.verdict is Verdict.BOUNCED
    if judgement.permanent is not None and outcome.reply.code:
        permanent = judgement.permanent
    if not permanent:
        return replace(outcome, verdict=Verdict.DEFERRED, bounce=None)
    return replace(outcome, verdict=Verdict.BOUNCED, bounce=_kind(outcome.reply, judgement))


def _kind(reply: SmtpReply, judgement: Judgement) -> BounceKind:
    if judgement.suppress:
        return BounceKind.HARD
    known = _KINDS.get(judgement.category) if judgement.rule else None
    return known or bounce_kind(reply)


# The steps before MAIL: until there the receiver has not heard of any message.
_OF_THE_PATH = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH})


def is_path_trouble(reply: SmtpReply, judgement: Judgement | None = None) -> bool:
    """Say whether a refusal is of the path and not of any message: it uses no attempt.

    Everything before MAIL is, unless a rule knows that it is about the message. A name that
    cannot be looked up is not: there is no path to it that could be closed.
    """
    if judgement is not None and judgement.permanent and judgement.scope is Scope.MESSAGE:
        return False
    return reply.phase in _OF_THE_PATH
