"""Who may log in to a simulated relay: one user, by PLAIN, LOGIN or CRAM-MD5."""

import hashlib
import hmac
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from aiosmtpd.smtp import Envelope as LibraryEnvelope
from aiosmtpd.smtp import Session as LibrarySession

from localstack.simulator.profiles import RELAY_PASSWORD, RELAY_USER


def authenticate(
    server: SMTP,
    session: LibrarySession,
    envelope: LibraryEnvelope,
    mechanism: str,
    claimed: Any,
) -> AuthResult:
    """Check what PLAIN or LOGIN claims; the library answers 535 where this says no."""
    wanted = LoginPassword(RELAY_USER.encode(), RELAY_PASSWORD.encode())
    return AuthResult(success=claimed == wanted, handled=False)


def is_answer_to(challenge: bytes, response: bytes) -> bool:
    """Say whether a CRAM-MD5 `response` (decoded) is right for `challenge` (RFC 2195)."""
    digest = hmac.new(RELAY_PASSWORD.encode(), challenge, hashlib.md5).hexdigest()
    return hmac.compare_digest(response, f"{RELAY_USER} {digest}".encode())
