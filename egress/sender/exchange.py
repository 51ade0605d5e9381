"""What came of offering a copy to a receiver."""

from dataclasses import dataclass, field

from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement


class NoWayError(Exception):
    """The copy was offered to nobody: its connection, or our right to it, is gone."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The reply that decided, from which host, over which path, and what the rules say of it.

    `tls` says whether it went over TLS, `version` and `cipher` how.
    """

    reply: SmtpReply
    mx: str = ""
    tls: bool = False
    judgement: Judgement = field(default_factory=Judgement)
    address: str = ""
    site: str = ""
    version: str = ""
    cipher: str = ""
