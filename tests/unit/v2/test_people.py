"""Users, members and invitations over the management API."""

import pytest

from mailroom.domain.tenancy.access import Role
from mailroom.domain.tenancy.record import Change
from mailroom.domain.tenancy.resource import PLATFORM, place_of
from tests.support.management import Management
from tests.support.people import mailed_token, member, person


@pytest.fixture
def platform() -> Management:
    return Management()


def test_an_address_is_one_users_however_it_is_written(platform: Management) -> None:
    made = platform.made("/users", {"email": "Ann.Lee@Example.org", "name": "Ann"})
    assert made["email"] == "Ann.Lee@example.org"
    again = platform.ask("POST", "/users", {"email": "ann.lee@EXAMPLE.org", "name": "Other"})
    assert (again.status, again.json["error"]["fields"][0]["path"]) == (409, "email")
    found = platform.ask("GET", "/users", query="email=ANN.LEE@example.org").json["data"]
    assert [each["id"] for each in found] == [made["id"]]
    assert platform.ask("GET", "/users", query="email=nobody@example.org").json["data"] == []


@pytest.mark.parametrize("email", ["", "x", "a b@example.org", "a@b", "a@example.org\r\nBcc: x"])
def test_what_is_no_address_is_nobodys(platform: Management, email: str) -> None:
    told = platform.ask("POST", "/users", {"email": email, "name": "x"})
    assert (told.status, told.json["error"]["fields"][0]["path"]) == (422, "email")


def test_only_the_platform_makes_users_and_administrators(platform: Management) -> None:
    org = platform.organisation()
    owner = member(platform, org, "owner")
    for key in (owner.token, platform.organisation_key(org)):
        body = {"email": "x@people.test", "name": "x", "administrator": True}
        assert platform.ask("POST", "/users", body, key=key).status == 403
        body = {"administrator": True}
        assert platform.ask("PATCH", f"/users/{owner.id}", body, key=key).status == 403
        assert platform.ask("PATCH", "/me", body, key=key).status == 422
    assert platform.ask("GET", "/organisations", key=owner.token).json["data"][0]["id"] == org
    assert platform.ask("PATCH", f"/users/{owner.id}", {"administrator": True}).status == 200
    assert platform.ask("POST", "/users", {"email": "y@people.test", "name": "y"},
                        key=owner.token).status == 201  # fmt: skip


def test_the_platform_keeps_an_administrator_who_is_not_disabled(platform: Management) -> None:
    first = person(platform, "first", administrator=True)
    for change in ({"administrator": False}, {"disabled": True}):
        told = platform.ask("PATCH", f"/users/{first.id}", change)
        assert (told.status, told.json["error"]["code"]) == (409, "last_one")
    assert platform.ask("DELETE", f"/users/{first.id}").status == 409
    second = person(platform, "second", administrator=True)
    assert platform.ask("PATCH", f"/users/{first.id}", {"disabled": True}).status == 200
    assert platform.ask("DELETE", f"/users/{second.id}").status == 409
    assert platform.ask("PATCH", f"/users/{first.id}", {"disabled": False}).status == 200
    assert platform.ask("DELETE", f"/users/{second.id}").status == 204


def test_a_disabled_or_deleted_user_gets_in_nowhere(platform: Management) -> None:
    org = platform.organisation()
    member(platform, org, "owner")
    who = member(platform, org, "developer")
    path = f"/organisations/{org}"
    assert platform.ask("GET", path, key=who.token).status == 200
    platform.ask("PATCH", f"/users/{who.id}", {"disabled": True})
    assert platform.ask("GET", path, key=who.token).status == 401
    platform.ask("PATCH", f"/users/{who.id}", {"disabled": False})
    assert platform.ask("GET", path, key=who.token).status == 200
    assert platform.ask("DELETE", f"/users/{who.id}").status == 204
    assert platform.ask("GET", path, key=who.token).status == 401
    ids = [each["id"] for each in platform.ask("GET", f"{path}/members").json["data"]]
    assert who.id not in ids


def test_users_change_their_own_name_and_nothing_else(platform: Management) -> None:
    who = person(platform, "ann")
    told = platform.ask("PATCH", "/me", {"name": "Ann", "time_zone": "Europe/Rome"}, key=who.token)
    assert (told.json["name"], told.json["time_zone"]) == ("Ann", "Europe/Rome")
    assert platform.ask("GET", "/me", key=who.token).json["name"] == "Ann"
    assert platform.ask("PATCH", "/me", {"email": "b@b.test"}, key=who.token).status == 422
    assert platform.ask("PATCH", "/me", {"name": "x"}).status == 403


def test_an_organisation_keeps_an_owner(platform: Management) -> None:
    org = platform.organisation()
    path = f"/organisations/{org}/members"
    first = member(platform, org, "owner")
    for told in (
        platform.ask("PATCH", f"{path}/{first.id}", {"role": "admin"}),
        platform.ask("DELETE", f"{path}/{first.id}"),
        platform.ask("DELETE", f"/users/{first.id}"),
        platform.ask("DELETE", f"/me/organisations/{org}", key=first.token),
    ):
        assert (told.status, told.json["error"]["code"]) == (409, "last_one")
    second = member(platform, org, "owner")
    assert platform.ask("DELETE", f"/me/organisations/{org}", key=first.token).status == 204
    assert platform.ask("DELETE", f"{path}/{second.id}", key=second.token).status == 409
    assert platform.ask("DELETE", f"/me/organisations/{org}", key=first.token).status == 404


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("caller", ["owner", "admin", "developer", "support", "read-only", "key"])
def test_nobody_gives_or_takes_a_role_higher_than_their_own(
    platform: Management, caller: str, role: Role
) -> None:
    org = platform.organisation()
    member(platform, org, "owner")
    target = member(platform, org, str(role))
    key = platform.organisation_key(org) if caller == "key" else member(platform, org, caller).token
    may = caller == "owner" or (caller in ("admin", "key") and role is not Role.OWNER)
    path, code = f"/organisations/{org}", 200 if may else 403
    body = {"email": "new@people.test", "role": str(role)}
    asked = platform.ask("POST", f"{path}/invitations", body, key=key)
    assert asked.status == (201 if may else 403)
    raised = member(platform, org, "read-only")
    change = {"role": str(role)}
    assert platform.ask("PATCH", f"{path}/members/{raised.id}", change, key=key).status == code
    lowered = platform.ask("PATCH", f"{path}/members/{target.id}", {"role": "read-only"}, key=key)
    assert lowered.status == code
    removed = platform.ask("DELETE", f"{path}/members/{target.id}", key=key)
    # Who was lowered is read-only now, so whoever manages members at all may remove them.
    assert removed.status == (204 if may else 403)


def test_a_member_narrowed_to_servers_manages_nobody_and_sees_no_other(
    platform: Management,
) -> None:
    org = platform.organisation()
    member(platform, org, "owner")
    ours, theirs = platform.server(org, "Ours"), platform.server(org, "Theirs")
    who = member(platform, org, "admin", [ours])
    path = f"/organisations/{org}"
    assert platform.ask("GET", f"/servers/{ours}", key=who.token).status == 200
    assert platform.ask("GET", f"/servers/{theirs}", key=who.token).status == 404
    listed = platform.ask("GET", f"{path}/servers", key=who.token).json["data"]
    assert [each["id"] for each in listed] == [ours]
    body = {"email": "x@people.test", "role": "read-only"}
    assert platform.ask("POST", f"{path}/invitations", body, key=who.token).status == 403
    change = {"servers": None}
    assert platform.ask("PATCH", f"{path}/members/{who.id}", change, key=who.token).status == 403
    key = {"name": "x", "scopes": ["servers:read"]}
    assert platform.ask("POST", f"{path}/keys", key, key=who.token).status == 403


def test_servers_of_a_member_are_the_organisations_own(platform: Management) -> None:
    org, other = platform.organisation(), platform.organisation("Other")
    foreign = platform.server(other)
    who = member(platform, org, "owner")
    path = f"/organisations/{org}"
    for server in (foreign, "aaaaaaaaaa"):
        body = {"email": "x@people.test", "role": "developer", "servers": [server]}
        told = platform.ask("POST", f"{path}/invitations", body, key=who.token)
        assert told.status == 404
    told = platform.ask(
        "POST", f"{path}/invitations", {"email": "x@people.test", "role": "owner", "servers": []}
    )
    assert (told.status, told.json["error"]["fields"][0]["path"]) == (422, "servers")


def test_who_is_a_member_already_is_not_made_one_again(platform: Management) -> None:
    org = platform.organisation()
    who = member(platform, org, "owner", name="ann")
    path = f"/organisations/{org}"
    told = platform.ask("POST", f"{path}/members", {"user": who.id, "role": "admin"})
    assert (told.status, told.json["error"]["code"]) == (409, "already_exists")
    body = {"email": "ANN@people.test", "role": "admin"}
    assert platform.ask("POST", f"{path}/invitations", body).status == 409


def test_an_invitation_makes_a_user_a_member_with_a_first_token(platform: Management) -> None:
    org = platform.organisation("Acme")
    owner = member(platform, org, "owner", name="olga")
    path = f"/organisations/{org}/invitations"
    body = {"email": "new@people.test", "role": "developer"}
    made = platform.made(path, body, key=owner.token)
    note = platform.mail.sent[-1]
    assert (note.to, note.subject) == ("new@people.test", "Invitation to Acme")
    assert "olga invites you" in note.text
    assert made["expires_at"] == platform.clock.at + 7 * 86_400
    token = mailed_token(platform)
    assert token not in str(made)
    told = platform.ask("POST", "/invitations/accept", {"token": token, "name": "New"}, key=None)
    assert (told.status, told.json["organisation"], told.json["role"]) == (200, org, "developer")
    me = platform.ask("GET", "/me", key=told.json["secret"]).json
    assert (me["id"], me["name"]) == (told.json["user"], "New")
    assert [each["organisation"] for each in me["memberships"]] == [org]
    assert platform.ask("GET", path).json["data"] == []
    again = platform.ask("POST", "/invitations/accept", {"token": token, "name": "New"}, key=None)
    assert (again.status, again.json["error"]["code"]) == (404, "invitation_not_valid")


def test_who_is_a_user_already_becomes_a_member_and_gets_no_token(platform: Management) -> None:
    org = platform.organisation()
    known = person(platform, "ann")
    body = {"email": "Ann@people.test", "role": "admin"}
    platform.made(f"/organisations/{org}/invitations", body)
    body = {"token": mailed_token(platform), "name": "Mallory"}
    told = platform.ask("POST", "/invitations/accept", body, key=None)
    assert (told.status, told.json["user"], told.json["secret"]) == (200, known.id, None)
    assert platform.ask("GET", "/me", key=known.token).json["name"] == "ann"
    assert platform.ask("GET", f"/organisations/{org}", key=known.token).status == 200


def test_tokens_that_open_nothing_are_all_answered_alike(platform: Management) -> None:
    org = platform.organisation()
    path = f"/organisations/{org}/invitations"
    tokens = ["nothing", "mri_aa_" + "a" * 32]
    revoked = platform.made(path, {"email": "revoked@people.test", "role": "admin"})
    tokens.append(mailed_token(platform))
    assert platform.ask("DELETE", f"{path}/{revoked['id']}").status == 204
    platform.made(path, {"email": "late@people.test", "role": "admin"})
    tokens.append(mailed_token(platform))
    platform.clock.at += 7 * 86_400
    answers = [
        platform.ask("POST", "/invitations/accept", {"token": each, "name": "x"}, key=None)
        for each in tokens
    ]
    assert {(each.status, each.text) for each in answers} == {(404, answers[0].text)}


def test_an_invitation_opens_nothing_while_its_organisation_is_deleted(
    platform: Management,
) -> None:
    org = platform.organisation()
    platform.made(f"/organisations/{org}/invitations", {"email": "g@people.test", "role": "admin"})
    row = platform.registry.read(place_of("organisation", PLATFORM, org))
    assert row is not None
    platform.registry.write([Change(row.place, None)])
    body = {"token": mailed_token(platform), "name": "x"}
    assert platform.ask("POST", "/invitations/accept", body, key=None).status == 404
    platform.registry.write([Change.put(row)])
    assert platform.ask("POST", "/invitations/accept", body, key=None).status == 200


def test_an_invitation_that_is_over_makes_room_for_another(platform: Management) -> None:
    org = platform.organisation()
    path, body = f"/organisations/{org}/invitations", {"email": "a@people.test", "role": "admin"}
    platform.made(path, body)
    assert platform.ask("POST", path, body).status == 409
    platform.clock.at += 7 * 86_400
    platform.made(path, body)
    assert len(platform.ask("GET", path).json["data"]) == 1


def test_an_invitation_is_mailed_again_with_a_token_of_its_own(platform: Management) -> None:
    org = platform.organisation()
    path = f"/organisations/{org}/invitations"
    made = platform.made(path, {"email": "a@people.test", "role": "admin"})
    old = mailed_token(platform)
    soon = platform.ask("POST", f"{path}/{made['id']}/resend")
    assert (soon.status, soon.json["error"]["code"]) == (409, "too_many")
    platform.clock.at += 300
    again = platform.ask("POST", f"{path}/{made['id']}/resend")
    assert again.json["expires_at"] == platform.clock.at + 7 * 86_400
    new = mailed_token(platform)
    assert new != old
    ask = {"name": "A"}
    accept = "/invitations/accept"
    assert platform.ask("POST", accept, {"token": old, **ask}, key=None).status == 404
    assert platform.ask("POST", accept, {"token": new, **ask}, key=None).status == 200


def test_who_cannot_be_mailed_is_not_invited(platform: Management) -> None:
    org = platform.organisation()
    path, body = f"/organisations/{org}/invitations", {"email": "a@people.test", "role": "admin"}
    platform.mail.refuses = True
    told = platform.ask("POST", path, body)
    assert (told.status, told.json["error"]["code"]) == (503, "mail_unavailable")
    assert platform.ask("GET", path).json["data"] == []
    platform.mail.refuses = False
    platform.made(path, body)


def test_an_organisation_mails_no_more_than_200_invitations_a_day(platform: Management) -> None:
    org = platform.organisation()
    path = f"/organisations/{org}/invitations"
    for number in range(200):
        made = platform.made(path, {"email": f"a{number}@people.test", "role": "admin"})
        assert platform.ask("DELETE", f"{path}/{made['id']}").status == 204
    told = platform.ask("POST", path, {"email": "b@people.test", "role": "admin"})
    assert (told.status, told.json["error"]["code"]) == (429, "rate_limited")
    assert int(told.headers["retry-after"]) > 0


def test_strangers_try_tokens_at_a_limited_rate(platform: Management) -> None:
    body = {"token": "x", "name": "x"}
    answers = [platform.ask("POST", "/invitations/accept", body, key=None) for _ in range(61)]
    assert [each.status for each in answers] == [404] * 60 + [429]
    assert platform.ask("GET", "/me").status == 200


def test_an_accepted_invitation_answers_a_repetition_as_it_did(platform: Management) -> None:
    org = platform.organisation()
    platform.made(f"/organisations/{org}/invitations", {"email": "a@people.test", "role": "admin"})
    body, headers = {"token": mailed_token(platform), "name": "A"}, {"idempotency-key": "one"}
    first = platform.ask("POST", "/invitations/accept", body, key=None, headers=headers)
    again = platform.ask("POST", "/invitations/accept", body, key=None, headers=headers)
    assert (again.status, again.json) == (200, first.json)
    assert platform.ask("GET", "/me", key=again.json["secret"]).status == 200


def test_a_users_memberships_are_listed_for_the_platform(platform: Management) -> None:
    who = person(platform, "ann")
    orgs = sorted(platform.organisation(f"Org {n}") for n in range(3))
    for org in orgs:
        platform.made(f"/organisations/{org}/members", {"user": who.id, "role": "support"})
    found, cursor = [], ""
    while cursor is not None:
        page = platform.ask("GET", f"/users/{who.id}/memberships", query=f"limit=2&cursor={cursor}")
        found += [each["organisation"] for each in page.json["data"]]
        cursor = page.json["next_cursor"]
    assert found == orgs
