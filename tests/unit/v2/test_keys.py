"""Bearer keys and personal tokens over the management API."""

import re
from dataclasses import replace

import pytest

from mailroom.domain.tenancy.record import Change, Place
from tests.support.api_calls import http_event
from tests.support.management import Management
from tests.support.people import member, person


@pytest.fixture
def platform() -> Management:
    return Management()


@pytest.fixture
def org(platform: Management) -> str:
    return platform.organisation()


def made(platform: Management, org: str, *scopes: str, key: str = "", **body):
    fields = {"name": "Key", "scopes": list(scopes) or ["*"], **body}
    return platform.made(f"/organisations/{org}/keys", fields, key=key)


def test_a_key_is_shown_once_and_opens_what_its_scopes_say(platform: Management, org: str) -> None:
    shown = made(platform, org, "servers:read", "servers:write")
    secret = shown["secret"]
    assert re.fullmatch(r"mrk_[a-z2-7]{2}_[a-z2-7]{32}", secret)
    assert shown["hint"] == secret[-4:]
    path = f"/organisations/{org}/keys/{shown['id']}"
    assert secret not in platform.ask("GET", path).text
    assert secret not in platform.ask("GET", f"/organisations/{org}/keys").text
    me = platform.ask("GET", "/me", key=secret).json
    assert (me["kind"], me["id"], me["organisation"]) == ("organisation", shown["id"], org)
    body = {"name": "Main"}
    assert platform.ask("POST", f"/organisations/{org}/servers", body, key=secret).status == 201
    assert platform.ask("GET", f"/organisations/{org}/members", key=secret).status == 403


@pytest.mark.parametrize("scopes", [["*"], ["servers:read", "members:read"], ["platform"]])
def test_nobody_gives_a_key_what_they_do_not_hold(
    platform: Management, org: str, scopes: list[str]
) -> None:
    narrow = made(platform, org, "keys:write", "keys:read", "servers:read")
    path = f"/organisations/{org}/keys"
    body = {"name": "x", "scopes": scopes}
    told = platform.ask("POST", path, body, key=narrow["secret"])
    assert (told.status, told.json["error"]["code"]) == (403, "forbidden")
    less = platform.made(path, {"name": "x", "scopes": ["servers:read"]}, key=narrow["secret"])
    change = {"scopes": scopes}
    told = platform.ask("PATCH", f"{path}/{less['id']}", change, key=narrow["secret"])
    assert told.status == 403


def test_nobody_makes_a_key_of_an_organisation_the_platforms(
    platform: Management, org: str
) -> None:
    path, body = f"/organisations/{org}/keys", {"name": "x", "scopes": ["platform"]}
    assert platform.ask("POST", path, body).status == 403


def test_a_narrow_key_gets_no_hold_of_a_wide_ones_secret(platform: Management, org: str) -> None:
    wide, narrow = made(platform, org), made(platform, org, "keys:write", "keys:read")
    path = f"/organisations/{org}/keys/{wide['id']}"
    rotated = platform.ask("POST", f"{path}/rotate", {}, key=narrow["secret"])
    assert rotated.status == 403
    widened = platform.ask("PATCH", path, {"networks": []}, key=narrow["secret"])
    assert widened.status == 403
    assert platform.ask("DELETE", path, key=narrow["secret"]).status == 204


def test_a_rotated_key_works_with_both_secrets_until_the_overlap_ends(
    platform: Management, org: str
) -> None:
    old = made(platform, org)
    path = f"/organisations/{org}/keys/{old['id']}"
    new = platform.ask("POST", f"{path}/rotate", {"overlap_seconds": 600}).json
    assert new["secret"] != old["secret"]
    assert new["old_until"] == platform.clock.at + 600
    ids = {platform.ask("GET", "/me", key=each["secret"]).json["id"] for each in (old, new)}
    assert ids == {old["id"]}
    platform.clock.at += 599
    assert platform.ask("GET", "/me", key=old["secret"]).status == 200
    platform.clock.at += 1
    told = platform.ask("GET", "/me", key=old["secret"])
    assert (told.status, told.json["error"]["code"]) == (401, "key_expired")
    assert platform.ask("GET", "/me", key=new["secret"]).status == 200


def test_a_change_reaches_both_secrets_of_a_rotated_key(platform: Management, org: str) -> None:
    old = made(platform, org)
    path = f"/organisations/{org}/keys/{old['id']}"
    new = platform.ask("POST", f"{path}/rotate", {}).json
    platform.ask("PATCH", path, {"scopes": ["servers:read"]})
    for each in (old, new):
        assert (
            platform.ask("GET", f"/organisations/{org}/members", key=each["secret"]).status == 403
        )
        assert (
            platform.ask("GET", f"/organisations/{org}/servers", key=each["secret"]).status == 200
        )
    platform.ask("PATCH", path, {"expires_at": platform.clock.at + 10})
    platform.clock.at += 10
    for each in (old, new):
        assert platform.ask("GET", "/me", key=each["secret"]).status == 401


def test_without_an_overlap_and_after_a_second_rotation_the_old_secret_is_dead(
    platform: Management, org: str
) -> None:
    first = made(platform, org)
    path = f"/organisations/{org}/keys/{first['id']}/rotate"
    second = platform.ask("POST", path, {"overlap_seconds": 0}).json
    assert platform.ask("GET", "/me", key=first["secret"]).status == 401
    third = platform.ask("POST", path, {}).json
    fourth = platform.ask("POST", path, {}).json
    answers = [platform.ask("GET", "/me", key=k["secret"]).status for k in (second, third, fourth)]
    assert answers == [401, 200, 200]
    for overlap in (-1, 7 * 86_400 + 1):
        assert platform.ask("POST", path, {"overlap_seconds": overlap}).status == 422


def test_a_revoked_key_ends_at_once_with_both_secrets(platform: Management, org: str) -> None:
    old = made(platform, org)
    path = f"/organisations/{org}/keys/{old['id']}"
    new = platform.ask("POST", f"{path}/rotate", {}).json
    assert platform.ask("DELETE", path, key=new["secret"]).status == 204
    for each in (old, new):
        assert platform.ask("GET", "/me", key=each["secret"]).status == 401
    assert platform.ask("GET", path).status == 404


def test_a_key_ends_when_it_says(platform: Management, org: str) -> None:
    shown = made(platform, org, expires_at=platform.clock.at + 60)
    platform.clock.at += 59
    assert platform.ask("GET", "/me", key=shown["secret"]).status == 200
    platform.clock.at += 1
    told = platform.ask("GET", "/me", key=shown["secret"])
    assert (told.status, told.json["error"]["code"]) == (401, "key_expired")
    path, body = f"/organisations/{org}/keys", {"name": "x", "scopes": ["*"]}
    late = platform.ask("POST", path, {**body, "expires_at": platform.clock.at})
    assert (late.status, late.json["error"]["fields"][0]["path"]) == (422, "expires_at")


@pytest.mark.parametrize(
    ("networks", "address", "status"),
    [
        ([], "203.0.113.9", 200),
        (["203.0.113.0/24"], "203.0.113.9", 200),
        (["203.0.113.0/24"], "::ffff:203.0.113.9", 200),
        (["203.0.113.0/24"], "203.0.114.9", 401),
        (["203.0.113.0/24"], "::ffff:203.0.114.9", 401),
        (["2001:db8::/32"], "2001:db8::1", 200),
        (["2001:db8::/32"], "203.0.113.9", 401),
        (["203.0.113.9", "192.0.2.0/24"], "192.0.2.77", 200),
        (["0.0.0.0/0"], "unknown", 401),
    ],
)
def test_a_key_is_used_from_its_networks_only(
    platform: Management, org: str, networks: list[str], address: str, status: int
) -> None:
    shown = made(platform, org, networks=networks)
    event = http_event("GET", "/api/v2/me", headers={"authorization": f"Bearer {shown['secret']}"})
    event["requestContext"]["http"]["sourceIp"] = address
    answer = platform.handler(event, None)
    assert answer["statusCode"] == status


def test_networks_are_checked_when_they_are_written(platform: Management, org: str) -> None:
    path, body = f"/organisations/{org}/keys", {"name": "x", "scopes": ["*"]}
    for bad in ("203.0.113.9/24", "x", ""):
        told = platform.ask("POST", path, {**body, "networks": ["192.0.2.1", bad]})
        assert (told.status, told.json["error"]["fields"][0]["path"]) == (422, "networks.1")
    assert platform.ask("POST", path, {**body, "networks": ["192.0.2.1"] * 33}).status == 422


def test_the_platforms_keys_are_the_platforms_to_make(platform: Management, org: str) -> None:
    key = platform.organisation_key(org)
    body = {"name": "x", "scopes": ["*"]}
    assert platform.ask("POST", "/keys", body, key=key).status == 403
    assert platform.ask("GET", "/keys", key=key).status == 403
    shown = platform.made("/keys", body)
    assert platform.ask("GET", "/me", key=shown["secret"]).json["administrator"] is True
    narrow = platform.made("/keys", {"name": "x", "scopes": ["platform"]})
    told = platform.ask("POST", "/keys", body, key=narrow["secret"])
    assert told.status == 403


def test_a_key_of_a_deleted_organisation_opens_nothing(platform: Management, org: str) -> None:
    shown = made(platform, org)
    row = platform.registry.read(Place(f"organisation#{org}"))
    assert row is not None
    platform.registry.write([Change.put(replace(row, body={**row.body, "deleted": True}))])
    assert platform.ask("GET", "/me", key=shown["secret"]).status == 401


def test_people_have_tokens_of_their_own(platform: Management, org: str) -> None:
    ann, bob = member(platform, org, "developer"), member(platform, org, "developer")
    body = {"name": "laptop", "scopes": ["servers:read"]}
    shown = platform.made("/me/tokens", body, key=ann.token)
    me = platform.ask("GET", "/me", key=shown["secret"]).json
    assert (me["kind"], me["id"], me["scopes"]) == ("user", ann.id, ["servers:read"])
    assert platform.ask("GET", f"/organisations/{org}/servers", key=shown["secret"]).status == 200
    # Its role would let it, the scopes of this token do not.
    assert platform.ask("GET", f"/organisations/{org}/members", key=shown["secret"]).status == 403
    path = f"/me/tokens/{shown['id']}"
    assert platform.ask("GET", path, key=bob.token).status == 404
    assert platform.ask("DELETE", path, key=bob.token).status == 404
    assert platform.ask("DELETE", path, key=ann.token).status == 204
    assert platform.ask("GET", "/me", key=shown["secret"]).status == 401


def test_a_token_makes_no_wider_token(platform: Management, org: str) -> None:
    ann = member(platform, org, "owner")
    body = {"name": "x", "scopes": ["keys:write", "servers:read"]}
    narrow = platform.made("/me/tokens", body, key=ann.token)["secret"]
    for scopes in (["*"], ["servers:write"]):
        told = platform.ask("POST", "/me/tokens", {"name": "y", "scopes": scopes}, key=narrow)
        assert told.status == 403
    platform.made("/me/tokens", {"name": "y", "scopes": ["servers:read"]}, key=narrow)
    mute = platform.made("/me/tokens", {"name": "y", "scopes": ["servers:read"]}, key=ann.token)
    told = platform.ask("POST", "/me/tokens", body, key=mute["secret"])
    assert told.status == 403
    assert platform.ask("GET", "/me/tokens", key=mute["secret"]).status == 403


def test_what_is_no_person_has_no_personal_tokens(platform: Management, org: str) -> None:
    server = platform.server(org)
    for key in (platform.organisation_key(org), platform.server_key(server), platform.root):
        assert platform.ask("GET", "/me/tokens", key=key).status == 403
        body = {"name": "x", "scopes": ["*"]}
        assert platform.ask("POST", "/me/tokens", body, key=key).status == 403


def test_a_role_lost_is_lost_for_every_token(platform: Management, org: str) -> None:
    member(platform, org, "owner")
    who = member(platform, org, "admin")
    path = f"/organisations/{org}/keys"
    assert platform.ask("GET", path, key=who.token).status == 200
    platform.ask("PATCH", f"/organisations/{org}/members/{who.id}", {"role": "read-only"})
    assert platform.ask("GET", path, key=who.token).status == 403
    platform.ask("DELETE", f"/organisations/{org}/members/{who.id}")
    assert platform.ask("GET", path, key=who.token).status == 404


def test_when_a_key_was_last_used_is_shown_and_not_written_each_time(
    platform: Management, org: str
) -> None:
    shown = made(platform, org)
    path = f"/organisations/{org}/keys/{shown['id']}"
    told = platform.ask("GET", path).json
    assert (told["last_used_at"], told["usage"]) == (None, "Unused")
    writes = platform.last_use.writes
    for _ in range(10):
        platform.ask("GET", "/me", key=shown["secret"])
    assert platform.last_use.writes == writes + 1
    told = platform.ask("GET", path).json
    assert (told["last_used_at"], told["usage"]) == (platform.clock.at, "Active")
    platform.clock.at += 100 * 86_400
    assert platform.ask("GET", f"/organisations/{org}/keys").json["data"][0]["usage"] == "Quiet"


def test_a_token_not_a_user_is_what_was_used(platform: Management) -> None:
    who = person(platform, "ann")
    platform.ask("GET", "/me", key=who.token)
    token = platform.ask("GET", f"/users/{who.id}/tokens").json["data"][0]
    assert token["usage"] == "Active"
