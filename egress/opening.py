"""Opens sessions: which host is tried next, how well protected, and what is told about it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from egress.connecting import Timeouts
from egress.core.mx import MxTarget, by_family
from egress.core.tls_policy import (
    HostPolicy,
    TlsTrouble,
    applied,
    apply,
    deferred,
    suffices,
    wanted,
)
from egress.remembered import Remembered
from egress.session import Session
from egress.source import Source
from mailroom.domain.relay import Relay, TlsPolicy
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.settings import PathSettings
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult

_UNVERIFIED = 3_600.0  # seconds a host that fails a policy in testing is not tested again
_MAY_NOT_BE_PLAIN = (TlsPolicy.REQUIRED, TlsPolicy.VERIFIED)

log = logging.getLogger(__name__)


class TlsMemory(Protocol):
    """Hosts whose STARTTLS is known to fail, and how."""

    def about(self, host: str, /) -> TlsResult | None:
        """Return how it failed lately, None if nothing is known."""

    def learn(self, host: str, result: TlsResult, /) -> None:
        """Keep in mind that it failed."""


class TlsWatch(Protocol):
    """Counts how sessions ended up protected, by recipient domain."""

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        """Count a session that is as the policy wants it."""

    def failed(self, domain: str, policy: AppliedPolicy, failing: Failing) -> None:
        """Count one that is not, or that there could not be."""


class Doorman(Protocol):
    """Knows how many connections each remote address may still get."""

    def enter(self, target: MxTarget, /) -> bool:
        """Take a place; False, and nothing is taken, if there is none."""

    def leave(self, target: MxTarget, /) -> None:
        """Give back a place whose connection did not become a session."""


class Tried(NamedTuple):
    """A target that did not become a session, and what it said."""

    target: MxTarget
    reply: SmtpReply


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that waits for mail, after those that were `tried` in vain."""

    session: Session
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True)
class NotOpened:
    """No target became a session; `reply` is the most telling of what was said.

    `full` means that an address was not tried because it had no room for one more connection.
    """

    reply: SmtpReply
    tried: tuple[Tried, ...] = ()
    full: bool = False

    @property
    def host(self) -> str:
        """The host that was tried last, "" if none was."""
        return self.tried[-1].target.host if self.tried else ""


class _Uncounted:
    """The watch and the doorman of who needs none."""

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        """See TlsWatch.succeeded."""

    def failed(self, domain: str, policy: AppliedPolicy, failing: Failing) -> None:
        """See TlsWatch.failed."""

    def enter(self, _target: MxTarget, /) -> bool:
        """See Doorman.enter."""
        return True

    def leave(self, _target: MxTarget, /) -> None:
        """See Doorman.leave."""


_UNCOUNTED = _Uncounted()


@dataclass(frozen=True, slots=True)
class OpenerSettings:
    """How every session is opened.

    `authorities` is a PEM file of who may vouch for certificates: of relays they alone, of mail
    exchangers those that the system trusts too. Without it the system's vouch for all. For
    `refused_login` seconds a relay that refused our login is not asked again.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    authorities: Path | None = None
    refused_login: float = 60.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What one call of `open` asks for."""

    source: Source
    settings: PathSettings
    policy: HostPolicy | None
    domain: str
    relay: Relay | None


class Opener:
    """Opens sessions with whoever answers first, in the order of the targets."""

    def __init__(
        self,
        settings: OpenerSettings,
        broken_tls: TlsMemory,
        *,
        clock: Callable[[], float],
        watch: TlsWatch = _UNCOUNTED,
    ) -> None:
        """Take a monotonic `clock` in seconds."""
        self._settings = settings
        self._broken_tls = broken_tls
        self._watch = watch
        self._unverified: Remembered[str, TlsResult] = Remembered(_UNVERIFIED, clock=clock)
        self._no_login: Remembered[Relay, SmtpReply] = Remembered(
            settings.refused_login, clock=clock
        )

    async def open(
        self,
        targets: Sequence[MxTarget],
        *,
        source: Source,
        settings: PathSettings,
        policy: HostPolicy | None = None,
        domain: str = "",
        relay: Relay | None = None,
        doorman: Doorman = _UNCOUNTED,
    ) -> Opened | NotOpened:
        """Open a session with the first of `targets` that greets us.

        At most `settings.addresses` of them are tried, each address once, in their order as far
        as `settings.ip` and the families of `source` leave it. `policy` is what the recipient
        `domain` (A-labels; "" is not counted) demands by MTA-STS: a session is verified by it, or
        there is none. With a `relay` its own TLS policy and login count instead. `doorman` is
        asked before each connection; the place of a session stays taken until the caller gives
        it back.
        """
        wish = _Wish(source, settings, None if relay else policy, domain, relay)
        known = self._no_login.about(relay) if relay else None
        if known:
            return NotOpened(known)
        chosen = self._choose(targets, wish)
        if isinstance(chosen, SmtpReply):
            return NotOpened(chosen)
        tried: list[Tried] = []
        full = False
        for target in _distinct(chosen):
            if len(tried) >= settings.addresses:
                break
            if not doorman.enter(target):
                full = True
                continue
            opened = await self._enter(target, wish, doorman)
            if isinstance(opened, Session):
                return Opened(opened, tuple(tried))
            tried.append(Tried(target, opened))
            if relay and opened.phase == Phase.AUTH and opened.code:
                self._remember_login(relay, opened)
                return NotOpened(opened, tuple(tried))  # its other addresses would say the same
        return _not_opened(tried, chosen, full=full)

    def may_carry(
        self,
        session: Session,
        *,
        settings: PathSettings,
        policy: HostPolicy | None = None,
        domain: str = "",
    ) -> bool:
        """Say whether an open session is safe enough for mail to `domain` under its `policy`.

        Hosts serve many domains, so a session opened for one may be asked to carry another's
        mail. The first use for a domain counts as a session in its TLS report.
        """
        if not suffices(
            encrypted=session.tls,
            verified=session.tls_verified,
            host=session.target.host,
            use=settings.tls,
            policy=policy,
        ):
            return False
        if domain and domain not in session.counted_for:
            session.counted_for.add(domain)
            self._count_use(session, domain, policy)
        return True

    def _choose(self, targets: Sequence[MxTarget], wish: _Wish) -> tuple[MxTarget, ...] | SmtpReply:
        if not targets:
            return SmtpReply(0, "no address to connect to", Phase.CONNECT)
        allowed = apply(wish.policy, targets)
        if isinstance(allowed, TlsTrouble):
            self._failed(wish, targets[0], allowed.result)
            return allowed
        source = wish.source
        found = by_family(allowed.targets, wish.settings.ip, ipv4=source.ipv4, ipv6=source.ipv6)
        if found:
            return found
        text = f"4.4.4 {targets[0].host} has no address that can be reached from this source"
        return SmtpReply(451, text, Phase.CONNECT)

    async def _enter(self, target: MxTarget, wish: _Wish, doorman: Doorman) -> Session | SmtpReply:
        opened: Session | SmtpReply | None = None
        try:
            opened = await self._greet(target, wish)
        finally:
            if not isinstance(opened, Session):
                doorman.leave(target)
        return opened

    async def _greet(self, target: MxTarget, wish: _Wish) -> Session | SmtpReply:
        if wish.relay:
            return await self._connect(target, wish, wish.relay.tls)
        use = wanted(wish.settings.tls, wish.policy)
        tested = wish.policy is not None and wish.policy.tested and use is not TlsPolicy.NONE
        if tested and use is not TlsPolicy.VERIFIED:
            trial = await self._trial(target, wish)
            if trial is not None:
                return trial
        opened = await self._connect(target, wish, use)
        if not tested or use is TlsPolicy.VERIFIED:
            self._count(opened, target, wish, use)
        if isinstance(opened, TlsTrouble) and use in _MAY_NOT_BE_PLAIN:
            return deferred(opened, target.host, wish.policy)
        return opened

    async def _connect(self, target: MxTarget, wish: _Wish, use: TlsPolicy) -> Session | SmtpReply:
        known = use is TlsPolicy.OPPORTUNISTIC and self._broken_tls.about(target.host)
        opened = await Session.open(
            target,
            ehlo_name=wish.source.ehlo_name,
            source_address=wish.source.towards(target.address),
            tls=TlsPolicy.NONE if known else use,
            timeouts=self._settings.timeouts,
            connect_timeout=wish.settings.connect_timeout,
            login=wish.relay.login if wish.relay else None,
            authorities=self._settings.authorities,
            public=not wish.relay,  # a private authority for relays must not unseat the public
        )
        if isinstance(opened, Session):
            if wish.domain:
                opened.counted_for.add(wish.domain)
            if known:
                opened.tls_failure = known
            elif opened.tls_broken and opened.tls_failure:
                self._broken_tls.learn(target.host, opened.tls_failure)
        return opened

    async def _trial(self, target: MxTarget, wish: _Wish) -> Session | SmtpReply | None:
        """Try what a policy in testing asks for; None if mail goes on without it."""
        covered = wish.policy is None or wish.policy.sts.covers(target.host)
        known = self._unverified.about(target.host) if covered else TlsResult.VALIDATION_FAILURE
        if known:
            self._failed(wish, target, known)
            return None
        opened = await self._connect(target, wish, TlsPolicy.VERIFIED)
        if not isinstance(opened, TlsTrouble):
            self._count(opened, target, wish, TlsPolicy.VERIFIED)
            return opened
        self._unverified.learn(target.host, opened.result)
        self._failed(wish, target, opened.result)
        return None

    def _count(
        self, opened: Session | SmtpReply, target: MxTarget, wish: _Wish, use: TlsPolicy
    ) -> None:
        if isinstance(opened, TlsTrouble):
            self._failed(wish, target, opened.result)
        elif isinstance(opened, Session) and use is not TlsPolicy.NONE:
            if opened.tls_failure:
                self._failed(wish, target, opened.tls_failure)
            elif opened.tls and wish.domain:
                self._watch.succeeded(wish.domain, applied(wish.policy))

    def _count_use(self, session: Session, domain: str, policy: HostPolicy | None) -> None:
        covered = policy is None or policy.sts.covers(session.target.host)
        target = session.target
        if session.tls_failure or not covered:
            result = session.tls_failure or TlsResult.VALIDATION_FAILURE
            failing = Failing(result, target.host, target.address)
            self._watch.failed(domain, applied(policy), failing)
        elif session.tls_verified or (session.tls and policy is None):
            self._watch.succeeded(domain, applied(policy))

    def _failed(self, wish: _Wish, target: MxTarget, result: TlsResult) -> None:
        if wish.domain:
            seen = wish.source.seen_from(target.address)
            failing = Failing(result, target.host, target.address, seen)
            self._watch.failed(wish.domain, applied(wish.policy), failing)

    def _remember_login(self, relay: Relay, reply: SmtpReply) -> None:
        self._no_login.learn(relay, reply)
        log.error(
            "a relay refuses our login: its mail waits",
            extra={"relay": f"{relay.host}:{relay.port}", "reply": str(reply)[:200]},
        )


def _not_opened(tried: Sequence[Tried], chosen: Sequence[MxTarget], *, full: bool) -> NotOpened:
    if not tried:
        text = f"{chosen[0].host} has as many connections as it may have"
        return NotOpened(SmtpReply(0, text, Phase.CONNECT), full=True)
    spoken = [each.reply for each in tried if each.reply.code]
    # One that had no room might have let us in: what the others said stands for nothing yet.
    return NotOpened((spoken or [tried[-1].reply])[-1], tuple(tried), full=full)


def _distinct(targets: Sequence[MxTarget]) -> Iterator[MxTarget]:
    """Return the targets, each address once."""
    by_address: dict[tuple[str, int], MxTarget] = {}
    for target in targets:
        by_address.setdefault((target.address, target.port), target)
    yield from by_address.values()
