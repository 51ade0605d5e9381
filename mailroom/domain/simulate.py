"""What becomes of mail that never leaves: a sandbox server's, and a message sent as a test.

Chosen by the recipient's local part before any `+`, in small letters; docs/concepts.md has the
table. The names are those of the mailbox simulator of the local stack.
"""

from collections.abc import Mapping

from mailroom.domain.reply import Phase, SmtpReply

HOST = "sandbox.invalid"  # shown as the receiver's host (RFC 2606)

_TAKEN = SmtpReply(250, "2.0.0 simulated: accepted, and nothing was sent", Phase.DOT)
_LATER = SmtpReply(451, "4.7.1 simulated: greylisted, try again later", Phase.RCPT)


def _refused(code: int, text: str, phase: Phase = Phase.RCPT) -> SmtpReply:
    return SmtpReply(code, f"{text} (simulated)", phase)


TABLE: Mapping[str, SmtpReply] = {
    "bounce": _refused(550, "5.1.1 no such mailbox"),
    "hard-bounce": _refused(550, "5.1.1 no such mailbox"),
    "soft-bounce": _refused(552, "5.2.2 mailbox full"),
    "blocked": _refused(550, "5.7.1 mail from your network is refused by policy"),
    "reject-data": _refused(554, "5.7.1 message content refused", Phase.DOT),
    "defer": _refused(451, "4.3.0 mailbox temporarily unavailable"),
    "defer-data": _refused(451, "4.3.0 try again later", Phase.DOT),
    "throttle": _refused(450, "4.7.1 too much mail from your address, slow down"),
    "disconnect": SmtpReply(0, "simulated: connection lost", Phase.RCPT),
    "no-such-domain": SmtpReply(550, "5.1.2 simulated: the domain does not exist", Phase.DNS),
    "drop-after-dot": SmtpReply(0, "simulated: connection lost after the final dot", Phase.DOT),
}
GREYLIST = "greylist"  # deferred once, then accepted


def simulate(recipient: str, *, attempts: int) -> SmtpReply:
    """Return the reply that `recipient` stands for; `attempts` were made before this one."""
    name = recipient.rpartition("@")[0].partition("+")[0].lower()
    if name == GREYLIST and attempts == 0:
        return _LATER
    return TABLE.get(name, _TAKEN)
