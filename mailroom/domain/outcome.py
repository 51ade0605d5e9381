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
    # 503 means we and the peer fell out of step, not that it refused the mail. Before MAIL a
    # 5xx is about the connection: another MX, or the same one later, may well take the message.
    about_mail = reply.phase in (Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT, Phase.DNS)
    if not 500 <= reply.code < 600 or reply.code == 503 or not about_mail:
        return Outcome(Verdict.DEFERRED, reply)
    return Outcome(Verdict.BOUNCED, reply, bounce_kind(reply))


def bounce_kind(reply: SmtpReply) -> BounceKind:
    """Say whose fault a permanent refusal is, by its enhanced code (RFC 3463)."""
    match reply.enhanced:
        case (5, 1, 1 | 2 | 3 | 6 | 10) | (5, 2, 1) | (5, 4, 4):
            return BounceKind.HARD
        case (5, 7, 13 | 17):  # RFC 5248 registry: user account disabled, mailbox owner changed
            return BounceKind.HARD
        case (5, 7, _):
            return BounceKind.BLOCK
        case _:
            return BounceKind.SOFT
