"""Opening sessions with a scripted host and sending over them: what the session tests share."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from egress.session import Session, Timeouts, TlsPolicy
from mailroom.domain.relay import Login
from mailroom.domain.reply import SmtpReply
from tests.egress.scripted_mx import ScriptedMx

MESSAGE = b"From: a@example.com\r\nSubject: hi\r\n\r\n.dot\r\n..two\r\nend\r\n"
QUICK = Timeouts(*(0.2 for _ in range(8)), quit=0.2)
TLS_OFFER = b"250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n"


async def nothing() -> None:
    pass


async def opened(
    mx: ScriptedMx,
    *,
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC,
    timeouts: Timeouts | None = None,
    host: str = "127.0.0.1",
    login: Login | None = None,
    authorities: Path | None = None,
) -> Session | SmtpReply:
    return await Session.open(
        mx.target(host),
        ehlo_name="out.example.com",
        source_address="127.0.0.1",
        tls=tls,
        timeouts=timeouts or Timeouts(),
        connect_timeout=5,
        login=login,
        authorities=authorities,
    )


async def a_session(mx: ScriptedMx, **how: object) -> Session:
    session = await opened(mx, **how)  # type: ignore[arg-type]
    assert isinstance(session, Session)
    return session


async def send(
    session: Session,
    message: bytes = MESSAGE,
    *,
    return_path: str = "b+1@rp.example.com",
    utf8: bool = False,
    recipient: str = "ann@example.org",
    before_dot: Callable[[], Awaitable[None]] = nothing,
) -> SmtpReply:
    return await session.transact(return_path, recipient, message, utf8=utf8, before_dot=before_dot)
