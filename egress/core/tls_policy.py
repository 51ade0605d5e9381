"""What protects mail to a host: our setting for the path and the domain's own demand together.

A domain that enforces MTA-STS (RFC 8461) gets its mail over verified TLS from the hosts it named,
or later. No setting of ours weakens that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from egress.core.mx import MxTarget
from mailroom.domain.relay import TlsPolicy
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.settings import TlsUse
from mailroom.domain.transport.sts import StsMode, StsPolicy
from mailroom.domain.transport.tls_result import AppliedPolicy, TlsResult

_NO_POLICY = AppliedPolicy()


@dataclass(frozen=True, slots=True)
class TlsTrouble(SmtpReply):
    """A reply, or the lack of one, that is about TLS."""

    result: TlsResult = TlsResult.VALIDATION_FAILURE


@dataclass(frozen=True, slots=True)
class HostPolicy:
    """The MTA-STS policy of a recipient domain (A-labels)."""

    domain: str
    sts: StsPolicy

    @property
    def enforced(self) -> bool:
        """Say whether mail must wait rather than go to a host that fails the policy."""
        return self.sts.mode is StsMode.ENFORCE

    @property
    def tested(self) -> bool:
        """Say whether failures are only reported."""
        return self.sts.mode is StsMode.TESTING


@dataclass(frozen=True, slots=True)
class Allowed:
    """Targets that may be tried, in their order; `uncovered` are those the policy does not name.

    `verified` says that their certificates must be theirs.
    """

    targets: tuple[MxTarget, ...]
    verified: bool = False
    uncovered: tuple[MxTarget, ...] = ()


def apply(policy: HostPolicy | None, targets: Sequence[MxTarget]) -> Allowed | TlsTrouble:
    """Return the targets that `policy` allows, or the temporary refusal if it allows none.

    A policy in testing allows all of them.
    """
    if policy is None or policy.sts.mode is StsMode.NONE:
        return Allowed(tuple(targets))
    uncovered = tuple(each for each in targets if not policy.sts.covers(each.host))
    if policy.tested:
        return Allowed(tuple(targets), uncovered=uncovered)
    allowed = tuple(each for each in targets if policy.sts.covers(each.host))
    if targets and not allowed:
        text = f"4.7.5 the MTA-STS policy of {policy.domain} names none of its mail exchangers"
        return TlsTrouble(451, text, Phase.STARTTLS)
    return Allowed(allowed, verified=True, uncovered=uncovered)


def wanted(use: TlsUse, policy: HostPolicy | None) -> TlsPolicy:
    """Return how connections must be protected: by `use`, and never less than the policy asks."""
    if policy is not None and policy.enforced:
        return TlsPolicy.VERIFIED
    return TlsPolicy(use.value)


def suffices(
    *, encrypted: bool, verified: bool, host: str, use: TlsUse, policy: HostPolicy | None
) -> bool:
    """Say whether a connection to `host` that is open may carry mail under `use` and `policy`."""
    match wanted(use, policy):
        case TlsPolicy.VERIFIED:
            covered = policy is None or not policy.enforced or policy.sts.covers(host)
            return verified and covered
        case TlsPolicy.REQUIRED:
            return encrypted
        case _:
            return True


def deferred(trouble: TlsTrouble, host: str, policy: HostPolicy | None) -> TlsTrouble:
    """Return the refusal for now that `trouble` amounts to where TLS may not be left out."""
    enforced = policy is not None and policy.enforced
    asker = f"the MTA-STS policy of {policy.domain}" if policy and enforced else "our settings"
    text = trouble.text.removeprefix("4.7.4 ")
    text = f"4.7.5 {host} is not as safe as {asker} demand{'s' if enforced else ''}: {text}"
    return replace(trouble, code=451, text=text)


def applied(policy: HostPolicy | None) -> AppliedPolicy:
    """Return what a TLS report says about the policy."""
    if policy is None:
        return _NO_POLICY
    return AppliedPolicy("sts", policy.sts.lines, policy.sts.mx)
