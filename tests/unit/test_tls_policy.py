"""What protects mail to a host: settings and the domain's policy together."""

import pytest

from egress.core.mx import MxTarget, by_family
from egress.core.tls_policy import Allowed, HostPolicy, TlsTrouble, apply, suffices, wanted
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.relay import TlsPolicy
from mailroom.domain.sending.settings import IpUse, TlsUse
from mailroom.domain.transport.sts import StsMode, StsPolicy

GOOD, BAD = MxTarget("mx.example.org", "203.0.114.1"), MxTarget("mx.evil.test", "203.0.114.2")


def policy(mode: StsMode = StsMode.ENFORCE) -> HostPolicy:
    return HostPolicy("example.org", StsPolicy(mode, 86_400, ("*.example.org",)))


def test_without_a_policy_every_target_is_allowed() -> None:
    assert apply(None, [GOOD, BAD]) == Allowed((GOOD, BAD))


def test_an_enforced_policy_leaves_the_hosts_it_names_and_asks_for_their_certificates() -> None:
    assert apply(policy(), [BAD, GOOD]) == Allowed((GOOD,), verified=True, uncovered=(BAD,))


def test_a_policy_in_testing_refuses_nothing() -> None:
    found = apply(policy(StsMode.TESTING), [BAD, GOOD])
    assert found == Allowed((BAD, GOOD), verified=False, uncovered=(BAD,))


def test_mail_waits_when_an_enforced_policy_names_none_of_the_hosts() -> None:
    reply = apply(policy(), [BAD])
    assert isinstance(reply, TlsTrouble)
    assert (reply.code, reply.enhanced) == (451, (4, 7, 5))
    assert classify_reply(reply).verdict is Verdict.DEFERRED


@pytest.mark.parametrize("use", list(TlsUse))
def test_no_setting_weakens_an_enforced_policy(use: TlsUse) -> None:
    assert wanted(use, policy()) is TlsPolicy.VERIFIED
    assert wanted(use, policy(StsMode.TESTING)) == wanted(use, None) == use.value


@pytest.mark.parametrize(
    ("encrypted", "verified", "host", "use", "mode", "enough"),
    [
        (True, True, "mx.example.org", TlsUse.OPPORTUNISTIC, StsMode.ENFORCE, True),
        (True, False, "mx.example.org", TlsUse.OPPORTUNISTIC, StsMode.ENFORCE, False),
        (False, False, "mx.example.org", TlsUse.NONE, StsMode.ENFORCE, False),
        (True, True, "mx.evil.test", TlsUse.OPPORTUNISTIC, StsMode.ENFORCE, False),
        (False, False, "mx.example.org", TlsUse.OPPORTUNISTIC, StsMode.TESTING, True),
        (False, False, "mx.evil.test", TlsUse.OPPORTUNISTIC, None, True),
        (False, False, "mx.evil.test", TlsUse.REQUIRED, None, False),
        (True, False, "mx.evil.test", TlsUse.REQUIRED, None, True),
        (True, False, "mx.evil.test", TlsUse.VERIFIED, None, False),
        (True, True, "mx.evil.test", TlsUse.VERIFIED, StsMode.TESTING, True),
    ],
)
def test_an_open_connection_carries_what_it_is_safe_enough_for(
    *, encrypted: bool, verified: bool, host: str, use: TlsUse, mode: StsMode | None, enough: bool
) -> None:
    demand = policy(mode) if mode else None
    found = suffices(encrypted=encrypted, verified=verified, host=host, use=use, policy=demand)
    assert found is enough


FOUR = MxTarget("a", "203.0.114.1", preference=10)
SIX = MxTarget("a", "2001:db9::1", preference=10)
LATE = MxTarget("b", "203.0.114.2", preference=20)


@pytest.mark.parametrize(
    ("use", "ipv4", "ipv6", "order"),
    [
        (IpUse.IPV4_FIRST, True, True, (FOUR, SIX, LATE)),
        (IpUse.IPV6_FIRST, True, True, (SIX, FOUR, LATE)),
        (IpUse.IPV4_ONLY, True, True, (FOUR, LATE)),
        (IpUse.IPV6_ONLY, True, True, (SIX,)),
        (IpUse.IPV6_FIRST, True, False, (FOUR, LATE)),
        (IpUse.IPV4_FIRST, False, True, (SIX,)),
        (IpUse.IPV6_ONLY, True, False, ()),
    ],
)
def test_preference_goes_before_family(
    *, use: IpUse, ipv4: bool, ipv6: bool, order: tuple[MxTarget, ...]
) -> None:
    assert by_family([SIX, FOUR, LATE], use, ipv4=ipv4, ipv6=ipv6) == order
