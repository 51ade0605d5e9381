"""Mail of a server goes by its relay: with its login, as protected as asked for, or not at all."""

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from localstack.zones import mx_hosts, profile_hosts
from mailroom.domain.relay import Direct, Login, Relay, Target, TlsPolicy
from tests.support.customer import Customer, wait_for
from tests.support.stack import Stack
from tests.support.tenants import Tenants, tenants_of

pytestmark = pytest.mark.stack
RIGHT = Login("relay", "let-relay-in")
IN_CLEAR = Login("relay", "let-relay-in", allow_plain=True)
WRONG = Login("relay", "no-such-password")


@dataclass(frozen=True)
class Way:
    """A server's relay for everything: a host of the simulator, TLS mode and login."""

    host: str
    tls: TlsPolicy
    login: Login | None = RIGHT


ARRIVING = {
    "plain": Way("auth-plain", TlsPolicy.REQUIRED),
    "login": Way("auth-login", TlsPolicy.OPPORTUNISTIC),
    "cram": Way("auth-cram-md5", TlsPolicy.NONE),
    "plain in clear": Way("auth-plain", TlsPolicy.NONE, IN_CLEAR),
    "verified": Way("auth", TlsPolicy.VERIFIED),
    "inside STARTTLS": Way("auth-starttls", TlsPolicy.REQUIRED),
    "implicit": Way("auth-implicit-tls", TlsPolicy.IMPLICIT),
}
WAITING = {
    "wrong password": Way("auth", TlsPolicy.REQUIRED, WRONG),
    "no login": Way("auth", TlsPolicy.REQUIRED, None),
    "no STARTTLS": Way("no-starttls", TlsPolicy.REQUIRED, None),
    "password in clear": Way("auth-plain", TlsPolicy.NONE),
    "another name": Way("wrong-name", TlsPolicy.VERIFIED, None),
    "expired": Way("expired", TlsPolicy.VERIFIED, None),
}
EXCEPTION = "exception"


@dataclass(frozen=True)
class Posted:
    """A message on its way, and the tenant that sent it."""

    customer: Customer
    to: str
    id_: int


@pytest.fixture(scope="module")
def posted(customer: Customer, stack: Stack) -> Iterator[Mapping[str, Posted]]:
    """One message by each way, all sent before the first is looked for."""
    with pytest.MonkeyPatch.context() as patched:
        tenants = tenants_of(stack, patched)
        yield {
            **{
                name: _post(customer, tenants, {"*": _relay(customer, way)})
                for name, way in (ARRIVING | WAITING).items()
            },
            EXCEPTION: _post(
                customer,
                tenants,
                {
                    "*": _relay(customer, ARRIVING["plain"]),
                    customer.domain: Direct.DIRECT,
                },
            ),
        }


def _relay(customer: Customer, way: Way) -> Relay:
    ready = json.loads((customer.stack.state / "ready" / "simulator.json").read_text())
    return Relay(f"mx.{way.host}.{customer.domain}", ready["smtp_port"], way.tls, way.login)


def _post(customer: Customer, tenants: Tenants, routes: Mapping[str, Target]) -> Posted:
    tenant = tenants()
    for pattern, target in routes.items():
        tenant.relays.put_relay(f"server#{tenant.server.id}", pattern, target)
    mine, to = tenant.on(customer), f"relayed+{secrets.token_hex(6)}@{customer.domain}"
    return Posted(mine, to, mine.send([to])[to])


def arrived(posted: Posted) -> tuple[dict[str, Any], dict[str, Any]]:
    """The last event and the message in its mailbox."""
    record = wait_for(lambda: posted.customer.settled(posted.id_), what="the verdict")
    assert record["state"] == "sent", record
    (found,) = posted.customer.mailbox(posted.to)
    return record["events"][-1], posted.customer.mail(found["id"])


@pytest.mark.parametrize("name", ARRIVING)
def test_mail_goes_by_the_relay_with_its_login(posted: Mapping[str, Posted], name: str) -> None:
    way, (event, mail) = ARRIVING[name], arrived(posted[name])
    assert event["mx"] == f"mx.{way.host}.sim.test"
    # These hosts take nothing without the login, so the mailbox proves it.
    assert mail["mx_host"] == profile_hosts()[f"mx.{way.host}.sim.test"]
    assert bool(mail["tls"]) == event["tls"] == (way.tls is not TlsPolicy.NONE)


@pytest.mark.parametrize("name", WAITING)
def test_what_the_relay_cannot_take_safely_waits(posted: Mapping[str, Posted], name: str) -> None:
    mine = posted[name]

    def attempts() -> int:
        events = mine.customer.record(mine.id_)["events"]
        assert {event["type"] for event in events} <= {"accepted", "deferred"}, events
        return len(events) - 1

    # The second attempt shows that the first one taught the sender no worse way.
    wait_for(lambda: attempts() >= 2, what="two deferrals")
    assert mine.customer.mailbox(mine.to) == []


def test_a_refused_login_is_our_trouble_and_not_the_recipients(
    posted: Mapping[str, Posted],
) -> None:
    mine = posted["wrong password"]

    def refused() -> dict[str, Any] | None:
        events = mine.customer.record(mine.id_)["events"]
        return next((event for event in events if event["type"] == "deferred"), None)

    event = wait_for(refused, what="the deferral")
    assert (event["phase"], event["code"], event["bounce"]) == ("AUTH", 535, None)


def test_an_exception_goes_to_its_own_hosts(posted: Mapping[str, Posted]) -> None:
    _, mail = arrived(posted[EXCEPTION])
    assert mail["mx_host"] == mx_hosts()["mx1.sim.test"]
