"""AUTH exchanges: PLAIN (RFC 4616), LOGIN and CRAM-MD5 (RFC 2195), without a socket or a look-up.

What comes out is a proof; whoever holds the directory finds out what it opens.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from egress.core.smtp_answer import BAD_ARGUMENT, LOGIN_MALFORMED, Answer, answer

MECHANISMS = ("PLAIN", "LOGIN")
CRAM = "CRAM-MD5"
_MAX_USER = 255  # octets
_DIGEST = re.compile(r"[0-9a-fA-F]{32}\Z")


@dataclass(frozen=True, slots=True)
class Password:
    """A secret said in clear. As in Postal it alone decides; no user name is kept."""

    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Digest:
    """An answer to a CRAM-MD5 challenge by `user` (`org/server` or `org_server`)."""

    user: str
    challenge: str
    digest: str = field(repr=False)

    def is_made_with(self, secret: str) -> bool:
        """Say whether the client knows `secret`."""
        made = hmac.new(secret.encode(), self.challenge.encode(), "md5").hexdigest()
        return hmac.compare_digest(made, self.digest)


Proof = Password | Digest


def challenge(nonce: str, number: int, host: str) -> str:
    """Return the challenge of the login number `number` of a session.

    `nonce` is the session's random text. In Postal's form: 20 hexadecimal digits at our name.
    """
    digits = hashlib.sha256(f"{nonce} {number}".encode()).hexdigest()[:20]
    return f"<{digits}@{host}>"


class Exchange:
    """One AUTH command and the lines that follow it."""

    def __init__(self, mechanism: str, challenge: str) -> None:
        self._mechanism = mechanism
        self._challenge = challenge
        self._named = False

    def begin(self, initial: str) -> Answer | Proof:
        """Take what stands behind the mechanism's name, "" for nothing.

        An answer with the code 334 asks for a line, which goes to `respond`.
        """
        match self._mechanism, initial:
            case ("PLAIN", ""):
                return _ask("")
            case ("LOGIN", ""):
                return _ask("Username:")
            case (mechanism, "") if mechanism == CRAM:
                return _ask(self._challenge)
            case (mechanism, _) if mechanism == CRAM:
                return BAD_ARGUMENT  # the server speaks first, RFC 4954 section 4
        return self.respond("" if initial == "=" else initial)

    def respond(self, line: str) -> Answer | Proof:
        """Take a response in base64."""
        try:
            response = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            return LOGIN_MALFORMED
        if self._mechanism == "PLAIN":
            return _plain(response)
        if self._mechanism == CRAM:
            return self._digest(response)
        if self._named:
            return Password(_secret(response))
        self._named = True  # the user name itself means nothing
        return _ask("Password:")

    def _digest(self, response: bytes) -> Answer | Proof:
        user, _, digest = response.decode("utf-8", "replace").rpartition(" ")
        if not user or len(user.encode()) > _MAX_USER or not _DIGEST.match(digest):
            return LOGIN_MALFORMED
        return Digest(user, self._challenge, digest.lower())


def _ask(text: str) -> Answer:
    return answer(334, "", base64.b64encode(text.encode()).decode())


def _plain(response: bytes) -> Answer | Proof:
    parts = response.split(b"\0")
    return Password(_secret(parts[2])) if len(parts) == 3 else LOGIN_MALFORMED


def _secret(octets: bytes) -> str:
    """Return the password. What is not UTF-8 can be no secret of ours and is "", which opens
    nothing."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return ""
