"""When a credential that is known opens nothing all the same."""

import pytest

from mailroom.domain.credential_use import Refusal, refusal
from mailroom.domain.message import Credential, ServerId

NOW = 1_760_000_000.0
KEY = Credential("c1", ServerId("abcdefghij"), "api", "main")
HERE = ("192.0.2.0/24", "2001:db8::/32", "not a network")


def of(**changes: object) -> Credential:
    return Credential("c1", ServerId("abcdefghij"), "api", "main", **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("credential", "address", "scope", "expected"),
    [
        (KEY, "", None, None),
        (KEY, "192.0.2.9", "messages:send", None),
        (KEY, "192.0.2.9", "domains:write", Refusal.SCOPE),
        (of(scopes=frozenset({"*"})), "", "domains:write", None),
        (of(scopes=frozenset()), "", "messages:send", Refusal.SCOPE),
        (of(expires_at=NOW + 1), "", None, None),
        (of(expires_at=NOW), "", None, Refusal.EXPIRED),
        (of(expires_at=NOW - 1, networks=HERE), "10.0.0.1", "x", Refusal.EXPIRED),
        (of(networks=HERE), "192.0.2.9", None, None),
        (of(networks=HERE), "::ffff:192.0.2.9", None, None),
        (of(networks=HERE), "2001:db8::1", None, None),
        (of(networks=HERE), "2001:db8::1%eth0", None, None),
        (of(networks=HERE), "192.0.3.9", None, Refusal.ADDRESS),
        (of(networks=HERE), "", None, Refusal.ADDRESS),
        (of(networks=HERE), "localhost", None, Refusal.ADDRESS),
        (of(networks=("192.0.2.7/24",)), "192.0.2.9", None, None),  # bits behind the prefix
        (of(networks=("nonsense",)), "192.0.2.9", None, Refusal.ADDRESS),
    ],
)
def test_time_place_and_purpose_are_checked_in_that_order(
    credential: Credential, address: str, scope: str | None, expected: Refusal | None
) -> None:
    assert refusal(credential, address=address, now=NOW, scope=scope) is expected
