"""From a fresh connection to one that takes mail: banner, EHLO, STARTTLS, AUTH.

Where TLS is required nothing of a transaction or a login is said before it is there: Postal
3.3.6 compares with a misspelled constant and sends in plain text (its `STARTTLS` mode).
"""

import ssl
from dataclasses import replace

from aiosmtplib.esmtp import parse_esmtp_extensions

from egress.connecting import Timeouts, upgrade
from egress.core import relay_login
from egress.core.mx import MxTarget
from egress.core.relay_login import Mechanism
from egress.core.tls_policy import TlsTrouble
from egress.core.wire import greeting_command
from egress.pipelined import PipelinedProtocol, Step
from mailroom.domain.relay import Login, TlsPolicy
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.transport.tls_result import TlsResult


class Greeting:
    """One greeting; afterwards `extensions` and `tls` say what was agreed on.

    `tls_broken` is set if STARTTLS was begun and led nowhere: the connection is lost, one
    without TLS may do. `tls_failure` says why there is no TLS although it was wanted.
    """

    def __init__(
        self, protocol: PipelinedProtocol, target: MxTarget, ehlo_name: str, timeouts: Timeouts
    ) -> None:
        """Raises ValueError for a name that is no host."""
        self._protocol = protocol
        self._target = target
        self._ehlo = greeting_command("EHLO", ehlo_name)
        self._helo = greeting_command("HELO", ehlo_name)
        self._timeouts = timeouts
        self.extensions: dict[str, str] = {}
        self.tls = False
        self.tls_broken = False
        self.tls_failure: TlsResult | None = None

    async def run(
        self, policy: TlsPolicy, context: ssl.SSLContext, login: Login | None
    ) -> SmtpReply | None:
        """Greet, secure the connection by `policy`, log in. Return what prevented it, or None."""
        self.tls = policy is TlsPolicy.IMPLICIT
        refusal = await self._banner() or await self._hello() or await self._secure(policy, context)
        if refusal or login is None:
            return refusal
        return await self._log_in(login)

    async def _banner(self) -> SmtpReply | None:
        banner = (await self._protocol.outcome(self._protocol.greeting))[0]
        if banner.code // 100 != 2:
            return banner
        return None if self._protocol.in_step else out_of_step(Phase.BANNER)

    async def _hello(self) -> SmtpReply | None:
        step = Step(Phase.EHLO, self._timeouts.ehlo)
        (reply,) = await self._protocol.exchange(self._ehlo, step)
        if reply.code // 100 == 2:
            self.extensions = parse_esmtp_extensions(reply.text)[0]
        elif reply.code // 100 == 5 and self._usable:
            (fallback,) = await self._protocol.exchange(self._helo, step)
            reply = fallback if fallback.code else reply
        if reply.code // 100 != 2:
            return reply
        return None if self._protocol.in_step else out_of_step(Phase.EHLO)

    async def _secure(self, policy: TlsPolicy, context: ssl.SSLContext) -> SmtpReply | None:
        if policy in (TlsPolicy.NONE, TlsPolicy.IMPLICIT):
            return None
        may_be_plain = policy is TlsPolicy.OPPORTUNISTIC
        if "starttls" not in self.extensions:
            self.tls_failure = TlsResult.STARTTLS_NOT_SUPPORTED
            text = "4.7.4 the host offers no STARTTLS, without which nothing is sent to it"
            trouble = TlsTrouble(451, text, Phase.STARTTLS, self.tls_failure)
            return None if may_be_plain else trouble
        refusal = await upgrade(self._protocol, context, self._target.host, self._timeouts.starttls)
        if refusal is None:
            return await self._start_over()
        self.tls_failure = refusal.result
        if refusal.code and self._usable:
            return None if may_be_plain else refusal  # "not now": it may go on in plain text
        self.tls_broken = True
        self._protocol.abort()
        return refusal

    async def _start_over(self) -> SmtpReply | None:
        self.tls = True
        self.extensions = {}  # RFC 3207 section 4.2: forget what plain text told
        refusal = await self._hello()
        # With TLS 1.3 a server that rejects the handshake shows it only at the first read.
        if refusal is not None and refusal.code == 0:
            self.tls_broken = True
            self.tls_failure = TlsResult.VALIDATION_FAILURE
            return TlsTrouble(0, refusal.text, refusal.phase, self.tls_failure)
        return refusal

    async def _log_in(self, login: Login) -> SmtpReply | None:
        chosen = relay_login.choose(self.extensions.get("auth", ""), login, tls=self.tls)
        if isinstance(chosen, SmtpReply):
            return chosen
        reply = await self._converse(chosen, login)
        if reply.code // 100 == 2:
            return None if self._protocol.in_step else out_of_step(Phase.AUTH)
        return replace(reply, text=relay_login.without_secrets(reply.text, login))

    async def _converse(self, mechanism: Mechanism, login: Login) -> SmtpReply:
        step = Step(Phase.AUTH, self._timeouts.auth)
        line: bytes | None = relay_login.opening(mechanism, login)
        for turn in range(relay_login.MAX_TURNS):
            (reply,) = await self._protocol.exchange(line or b"*\r\n", step)
            if reply.code != 334 or line is None:
                return reply if reply.code != 334 else out_of_step(Phase.AUTH)
            line = relay_login.answer(mechanism, login, reply.text, turn)
        return out_of_step(Phase.AUTH)

    @property
    def _usable(self) -> bool:
        return self._protocol.is_connected and self._protocol.in_step


def out_of_step(phase: Phase) -> SmtpReply:
    """Return the absence of a reply that one can make sense of."""
    return SmtpReply(0, "the server answers what it was not asked", phase)
