"""A relay that really checks who logs in, and certificates that can be verified."""

import asyncio
import base64
import hashlib
import hmac
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from localstack.certificates import ensure_authority, issue
from tests.egress.scripted_mx import ScriptedMx

OK, NO = b"235 2.7.0 welcome\r\n", b"535 5.7.8 wrong user or password\r\n"
NONCE = b"<1896.697170952@relay.test>"


@dataclass
class LoginMx(ScriptedMx):
    """Takes mail only from `user` with `secret`. `logins` are the mechanisms that succeeded."""

    offers: str = "PLAIN LOGIN CRAM-MD5"
    starttls: bool = True
    user: str = "ann"
    secret: str = "open sesame"
    takes_initial: bool = True  # the message may stand in the AUTH PLAIN line itself
    logins: list[str] = field(default_factory=list)
    tries: int = 0

    def _reply(self, verb: str) -> bytes:
        if verb == "EHLO" and verb not in self.replies:
            encrypted = self.writer is not None and self.writer.get_extra_info("ssl_object")
            lines = ["relay.test", "PIPELINING", f"AUTH {self.offers}"]
            lines += ["STARTTLS"] if self.starttls and not encrypted else []
            return b"".join(
                f"250{' ' if line is lines[-1] else '-'}{line}\r\n".encode() for line in lines
            )
        if verb == "MAIL" and not self.logins:
            return b"530 5.7.0 log in first\r\n"
        return super()._reply(verb)

    async def _answer(
        self, verb: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        if verb != "AUTH" or verb in self.replies:
            return self._reply(verb)
        self.tries += 1
        _, mechanism, *initial = self.commands[-1].split()

        async def ask(challenge: bytes) -> bytes:
            writer.write(b"334 " + base64.b64encode(challenge) + b"\r\n")
            self.commands.append(await reader.readline())
            return base64.b64decode(self.commands[-1])

        if mechanism == b"PLAIN":
            taken = initial and self.takes_initial
            message = base64.b64decode(initial[0]) if taken else await ask(b"")
            right = message == f"\0{self.user}\0{self.secret}".encode()
        elif mechanism == b"LOGIN":
            told = [await ask(b"User Name\0"), await ask(b"Password\0")]
            right = told == [self.user.encode(), self.secret.encode()]
        else:
            digest = hmac.new(self.secret.encode(), NONCE, hashlib.md5).hexdigest()
            right = await ask(NONCE) == f"{self.user} {digest}".encode()
        if right:
            self.logins.append(mechanism.decode())
        return OK if right else NO


def trusted(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Return the authority's certificate and the TLS context of a host called `name`."""
    authority = ensure_authority(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issue(folder, name, [name]))
    return authority.certificate, context
