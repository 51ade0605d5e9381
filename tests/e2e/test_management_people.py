"""People and keys over the management API on a running stack: invitations that come by mail, what
a role opens and a narrowed one does not, secrets that overlap and end.
"""

import json
import re
import secrets
import smtplib
import time
from typing import Any

import pytest

from tests.support.api_tenant import Api, ApiServer, ApiTenant, Reply
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack
SOON = 2.0  # seconds


def box() -> str:
    return f"accept+{secrets.token_hex(6)}@sim.test"


def code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json.get("error", {}).get("code", "")


@pytest.fixture(scope="session")
def first(api_tenant: ApiTenant) -> ApiServer:
    return api_tenant.server("First")


@pytest.fixture(scope="session")
def second(api_tenant: ApiTenant) -> ApiServer:
    return api_tenant.server("Second")


@pytest.fixture(scope="session")
def platform(customer: Customer) -> Api:
    return Api(customer.status["api_url"], customer.status["platform_key"])


def mailed_token(customer: Customer, to: str) -> str:
    """The token of the one invitation in a mailbox."""
    (mail,) = wait_for(lambda: customer.mailbox(to), what="the invitation")
    letter = customer.mail(mail["id"])
    assert "no-reply@mailroom.test" in dict(letter["headers"])["From"]
    found = re.search(r"\bmri_\S+", letter["text"])
    assert found, letter["text"]
    return found[0]


def accept(customer: Customer, token: str) -> tuple[int, Any]:
    """Accept an invitation, as anybody does: without a key."""
    answer = customer.http(
        f"{customer.status['api_url']}/api/v2/invitations/accept",
        data=json.dumps({"token": token, "name": "Robin"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    return answer.status, json.loads(answer.body)


def test_an_invitation_comes_by_mail_and_opens_what_it_says(
    api_tenant: ApiTenant, first: ApiServer, second: ApiServer
) -> None:
    customer, organisation = api_tenant.customer, f"/organisations/{api_tenant.organisation}"
    to = box()
    invitation = {"email": to, "role": "read-only", "servers": [first.id]}
    api_tenant.owner("POST", f"{organisation}/invitations", invitation)
    token = mailed_token(customer, to)
    status, welcome = accept(customer, token)
    assert (status, welcome["role"], welcome["servers"]) == (200, "read-only", [first.id])
    assert accept(customer, token)[0] == 404

    robin = Api(api_tenant.owner.url, welcome["secret"])
    assert robin.get("/me")["memberships"] == [
        {"organisation": api_tenant.organisation, "role": "read-only", "servers": [first.id]}
    ]
    servers = robin.get(f"{organisation}/servers")["data"]
    assert [each["id"] for each in servers] == [first.id]
    assert robin.get(first.path)["id"] == first.id
    name = {"name": f"{secrets.token_hex(4)}.test"}
    assert code(robin.ask("PATCH", first.path, {"name": "Mine"})) == (403, "forbidden")
    assert robin.ask("POST", f"{first.path}/domains", name).status == 403
    letter = first.letter([box()])
    assert robin.ask("POST", f"{first.path}/messages", letter).status == 403
    for method, path in (("GET", second.path), ("POST", f"{second.path}/suspend")):
        assert code(robin.ask(method, path, {"reason": "x"} if method == "POST" else None)) == (
            *(404, "not_found"),
        )

    member = f"{organisation}/members/{welcome['user']}"
    api_tenant.owner("PATCH", member, {"role": "developer"})
    assert robin.ask("POST", f"{first.path}/domains", name).status == 201
    sent = robin("POST", f"{first.path}/messages", first.letter([to]))
    assert first.in_state(sent["messages"][0]["id"], "sent")
    assert robin.ask("GET", second.path).status == 404
    api_tenant.owner("DELETE", member)
    assert code(robin.ask("GET", first.path)) == (404, "not_found")


def test_a_user_of_the_platform_has_a_role_a_token_less_and_can_be_shut_out(
    platform: Api, api_tenant: ApiTenant, first: ApiServer
) -> None:
    user = platform("POST", "/users", {"email": box(), "name": "Sam"})["id"]
    token = {"name": "Laptop", "scopes": ["*"]}
    sam = Api(platform.url, platform("POST", f"/users/{user}/tokens", token)["secret"])
    assert sam.ask("GET", first.path).status == 404  # no member of anything yet
    part = {"user": user, "role": "owner"}
    platform("POST", f"/organisations/{api_tenant.organisation}/members", part)
    narrow = {"name": "Reader", "scopes": ["servers:read"]}
    reader = Api(platform.url, sam("POST", "/me/tokens", narrow)["secret"])
    assert reader.get(first.path)["id"] == first.id
    assert code(reader.ask("PATCH", first.path, {"name": "First"})) == (403, "forbidden")
    assert reader.ask("POST", "/me/tokens", token).status == 403
    assert sam("PATCH", first.path, {"name": "First"})["name"] == "First"
    assert sam.ask("POST", "/organisations", {"name": "Mine"}).status == 403

    assert sam.ask("DELETE", f"/me/organisations/{api_tenant.organisation}").status == 409
    platform("PATCH", f"/users/{user}", {"disabled": True})
    assert [each.ask("GET", "/me").status for each in (sam, reader)] == [401, 401]


def test_keys_that_are_over_foreign_or_elsewhere_say_so(
    platform: Api, api_tenant: ApiTenant, first: ApiServer
) -> None:
    keys = f"/organisations/{api_tenant.organisation}/keys"
    short = {"name": "Short", "scopes": ["*"], "expires_at": round(time.time() + SOON, 3)}
    away = {"name": "Away", "scopes": ["*"], "networks": ["203.0.113.0/24"]}
    brief = Api(platform.url, api_tenant.owner("POST", keys, short)["secret"])
    assert brief.ask("GET", "/me").status == 200
    distant = Api(platform.url, api_tenant.owner("POST", keys, away)["secret"])
    assert code(distant.ask("GET", "/me")) == (401, "address_refused")
    foreign = f"mrk_{'aa' if brief.key[4:6] != 'aa' else 'bb'}_{brief.key[7:]}"
    assert code(Api(platform.url, foreign).ask("GET", "/me")) == (401, "foreign_environment")
    unknown = f"{brief.key[:-4]}{'aaaa' if brief.key[-4:] != 'aaaa' else 'bbbb'}"
    assert code(Api(platform.url, unknown).ask("GET", "/me")) == (401, "unauthenticated")
    past = {**short, "expires_at": time.time() - 1}
    assert api_tenant.owner.ask("POST", keys, past).status == 422
    wait_for(
        lambda: code(brief.ask("GET", "/me")) == (401, "key_expired"), what="the key to be over"
    )
    narrower = Api(
        platform.url,
        api_tenant.owner("POST", keys, {"name": "Keys", "scopes": ["keys:write"]})["secret"],
    )
    wide = {"name": "Wide", "scopes": ["*"]}
    assert code(narrower.ask("POST", keys, wide)) == (403, "forbidden")


def test_an_api_credential_is_rotated_with_an_overlap(first: ApiServer) -> None:
    credentials = f"{first.path}/credentials"
    made = first.owner("POST", credentials, {"type": "API", "name": "Turned"})
    one = f"{credentials}/{made['id']}"
    assert first.owner.get(one)["last_used_at"] is None

    def sends(secret: str) -> int:
        letter = first.letter([box()], test=True)
        return Api(first.owner.url, secret).ask("POST", "/messages", letter).status

    assert sends(made["secret"]) == 202
    wait_for(lambda: first.owner.get(one)["last_used_at"], what="the use of the key to be noted")
    assert first.owner.get(one)["usage"] == "Active"

    turned = first.owner("POST", f"{one}/rotate", {"overlap_seconds": 600})
    assert [sends(turned["secret"]), sends(made["secret"])] == [202, 202]
    last = first.owner("POST", f"{one}/rotate", {"overlap_seconds": int(SOON)})
    assert sends(last["secret"]) == 202
    assert sends(made["secret"]) == 401  # the oldest ends when a third comes
    wait_for(lambda: sends(turned["secret"]) == 401, what="the overlap to be over")
    shown = first.owner.get(one)
    assert (shown["hint"], "secret" in shown) == (last["secret"][-4:], False)


def test_an_smtp_credential_is_rotated_with_an_overlap(first: ApiServer) -> None:
    credentials = f"{first.path}/credentials"

    def login(secret: str) -> int:
        try:
            with first.smtp(secret):
                return 235
        except smtplib.SMTPAuthenticationError as refusal:
            return refusal.smtp_code

    made = first.owner("POST", credentials, {"type": "SMTP", "name": "Turned"})
    one = f"{credentials}/{made['id']}"
    turned = first.owner("POST", f"{one}/rotate", {"overlap_seconds": int(SOON)})
    assert [login(made["secret"]), login(turned["secret"])] == [235, 235]
    to = box()
    with first.smtp(turned["secret"]) as opened:
        assert opened.sendmail(first.address, [to], first.octets(to)) == {}
    assert first.arrived(to)
    wait_for(lambda: login(made["secret"]) == 535, what="the overlap to be over")
    assert login(turned["secret"]) == 235
    wait_for(lambda: first.owner.get(one)["last_used_at"], what="the use of it to be noted")

    ended = first.owner("POST", credentials, {"type": "SMTP", "name": "Ended"})
    path = f"{credentials}/{ended['id']}/rotate"
    fresh = first.owner("POST", path, {"overlap_seconds": 0})
    assert [login(ended["secret"]), login(fresh["secret"])] == [535, 235]
