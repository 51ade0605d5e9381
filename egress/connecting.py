"""Opens the connection of a session: how long to wait, from which address, with which TLS."""

import asyncio
import os
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiosmtplib.errors import SMTPException, SMTPResponseException

from egress.core.mx import MxTarget
from egress.core.tls_policy import TlsTrouble
from egress.pipelined import PipelinedProtocol, Step
from mailroom.domain.relay import TlsPolicy
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.transport.tls_result import TlsResult

__all__ = ["Timeouts", "TlsPolicy", "connect", "tls_context", "upgrade"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for each step: RFC 5321 section 4.5.3.2, whose minima these are.

    The wait for the reply to the final dot must not be shortened: giving up early is how
    duplicates are made (RFC 1047). `block` is for handing one block of a message to the network.
    """

    banner: float = 300.0
    ehlo: float = 300.0
    starttls: float = 120.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    dot: float = 600.0
    quit: float = 5.0
    auth: float = 180.0


@cache
def tls_context(
    policy: TlsPolicy, authorities: Path | None = None, *, public: bool = False
) -> ssl.SSLContext:
    """Return the TLS context for `policy`.

    Certificates are checked for VERIFIED and IMPLICIT, against `authorities` (PEM) or, without
    them, those the system trusts; with `public` against both. Elsewhere they prove nothing (RFC
    7435). Raises OSError or ssl.SSLError when `authorities` cannot be read.
    """
    if policy in (TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT):
        context = ssl.create_default_context(cafile=authorities)
        if public and authorities:
            context.load_default_certs()
        return context
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(
    target: MxTarget,
    source_address: str | None,
    timeouts: Timeouts,
    connect_timeout: float,
    implicit: ssl.SSLContext | None = None,
) -> PipelinedProtocol | SmtpReply:
    """Connect to `target`, from `source_address` if given, within `connect_timeout` seconds.

    With `implicit` TLS starts at once, for the target's host name. Returns the protocol, which
    already expects the banner, or why there is no connection.
    """
    loop = asyncio.get_running_loop()
    banner = Step(Phase.BANNER, timeouts.banner)
    try:
        async with asyncio.timeout(connect_timeout):
            _, protocol = await loop.create_connection(
                lambda: PipelinedProtocol(loop, banner),
                host=target.address,
                port=target.port,
                local_addr=(source_address, 0) if source_address else None,
                ssl=implicit,
                server_hostname=target.host if implicit else None,
            )
    except TimeoutError:
        why = f"timed out after {connect_timeout:g} s"
    except ssl.SSLError as error:
        return _handshake_failed(error)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
    else:
        return protocol
    text = f"cannot connect to {target.host} [{target.address}]:{target.port}: {why}"
    return SmtpReply(0, text, Phase.CONNECT)


async def upgrade(
    protocol: PipelinedProtocol, context: ssl.SSLContext, host: str, seconds: float
) -> TlsTrouble | None:
    """Say STARTTLS and shake hands; return None when the connection is encrypted.

    Otherwise the server's refusal, or code 0 for a handshake that failed or took
    longer than `seconds`; after that the connection is of no use.
    """
    try:
        await protocol.start_tls(context, server_hostname=host, timeout=seconds)
    except SMTPResponseException as refusal:
        if refusal.code > 0:
            return TlsTrouble(refusal.code, refusal.message, Phase.STARTTLS)
        trouble: Exception = refusal
    except (SMTPException, OSError, ValueError) as error:  # ssl.SSLError is an OSError
        trouble = error
    else:
        return None
    return _handshake_failed(trouble)


def _handshake_failed(trouble: Exception) -> TlsTrouble:
    return TlsTrouble(0, f"TLS handshake failed: {trouble}", Phase.STARTTLS, tls_result(trouble))


def tls_result(trouble: Exception) -> TlsResult:
    """Return what a report calls a handshake that ended with `trouble`."""
    if not isinstance(trouble, ssl.SSLCertVerificationError):
        return TlsResult.VALIDATION_FAILURE
    return _CERTIFICATE.get(trouble.verify_code, TlsResult.CERTIFICATE_NOT_TRUSTED)


# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED, _HOSTNAME_MISMATCH and _IP_ADDRESS_MISMATCH.
_CERTIFICATE = {
    10: TlsResult.CERTIFICATE_EXPIRED,
    62: TlsResult.CERTIFICATE_HOST_MISMATCH,
    64: TlsResult.CERTIFICATE_HOST_MISMATCH,
}
