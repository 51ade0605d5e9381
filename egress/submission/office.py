"""What the sessions of a process share."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from egress.core.smtp_answer import Answer
from egress.core.smtp_limits import Limits
from egress.submission.acceptance import Acceptance
from egress.submission.auth import Accounts
from egress.submission.brakes import LoginBrakes
from egress.submission.limits import Admission, HeldOctets


class OpenSession(Protocol):
    """A session, as whoever stops the process sees it."""

    def drain(self) -> None:
        """End as soon as no message is on its way."""

    def end(self, last_words: Answer) -> None:
        """End now, whatever is going on."""


@dataclass(slots=True)
class Office:
    """One per process. `name` is how we greet, `new_id` names a session for the log.

    `tls` is for every handshake from now on. With `new_nonce`, which draws 128 random bits or
    more as text, CRAM-MD5 is offered. `proxies` are the networks whose connections begin with a
    PROXY header.
    """

    name: str
    limits: Limits
    tls: ssl.SSLContext
    accounts: Accounts
    acceptance: Acceptance
    admission: Admission
    held: HeldOctets
    new_id: Callable[[], str]
    brakes: LoginBrakes
    new_nonce: Callable[[], str] | None = None
    proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    sessions: set[OpenSession] = field(default_factory=set)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # set by each session that ends
    closing: bool = False
