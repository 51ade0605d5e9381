"""Opens the connection of a session: how long to wait, from which address, with which TLS."""

import asyncio
import os
import ssl
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from egress.core.mx import MxTarget
from egress.pipelined import PipelinedProtocol, Step
from mailroom.domain.reply import Phase, SmtpReply


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


class TlsPolicy(StrEnum):
    """Whether to use STARTTLS."""

    OPPORTUNISTIC = "opportunistic"  # if offered, any certificate; plain if the handshake fails
    NEVER = "never"


@cache
def opportunistic_context() -> ssl.SSLContext:
    """Return the TLS context for hosts whose certificate proves nothing (RFC 7435)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect(
    target: MxTarget, source_address: str | None, timeouts: Timeouts, connect_timeout: float
) -> PipelinedProtocol | SmtpReply:
    """Connect to `target`, from `source_address` if given, within `connect_timeout` seconds.

    Returns the protocol, which already expects the banner, or why there is no connection.
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
            )
    except TimeoutError:
        why = f"timed out after {connect_timeout:g} s"
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
    else:
        return protocol
    text = f"cannot connect to {target.host} [{target.address}]:{target.port}: {why}"
    return SmtpReply(0, text, Phase.CONNECT)
