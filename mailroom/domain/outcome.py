"""What a reply means for the recipient it answers."""

from dataclasses import dataclass
from enum import StrEnum

from mailroom.domain.reply import Phase, SmtpReply


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
