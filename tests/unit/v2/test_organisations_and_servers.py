"""Organisations and servers over the management API."""

import pytest

from tests.support.management import Management


@pytest.fixture
def platform() -> Management:
    return Management()


def test_an_organisation_and_its_server_are_made_read_changed_and_deleted(
    platform: Management,
) -> None:
    made = platform.ask("POST", "/organisations", {"name": "Acme Mail", "time_zone": "Europe/Rome"})
    assert made.status == 201
    assert made.json["permalink"] == "acme-mail"
    assert made.headers["etag"] == '"1"'
    id_ = made.json["id"]
    assert id_.startswith("org_")
    changed = platform.ask("PATCH", f"/organisations/{id_}", {"name": "Acme"})
    assert (changed.status, changed.json["name"]) == (200, "Acme")
    server = platform.made(f"/organisations/{id_}/servers", {"name": "Main", "mode": "sandbox"})
    assert server["organisation"] == id_
    assert len(server["token"]) == 6
    assert platform.ask("GET", f"/servers/{server['id']}").json == server
    assert [s["id"] for s in platform.ask("GET", f"/organisations/{id_}/servers").json["data"]] == [
        server["id"]
    ]
    assert platform.ask("DELETE", f"/servers/{server['id']}").status == 204
    assert platform.ask("GET", f"/servers/{server['id']}").status == 404
    back = platform.ask("POST", f"/organisations/{id_}/deleted-servers/{server['id']}/restore")
    assert (back.status, back.json["token"]) == (200, server["token"])


def test_of_another_organisation_nothing_can_be_seen(platform: Management) -> None:
    ours, theirs = platform.organisation("Ours"), platform.organisation("Theirs")
    server = platform.server(theirs)
    key = platform.organisation_key(ours)
    for path in (f"/organisations/{theirs}", f"/servers/{server}", "/servers/nothing"):
        told = platform.ask("GET", path, key=key)
        assert (told.status, told.json["error"]["message"]) == (
            404,
            "there is nothing with that id",
        )
    assert platform.ask("GET", f"/organisations/{ours}", key=key).status == 200


def test_an_id_of_another_deployment_is_refused_as_such(platform: Management) -> None:
    from mailroom.domain.tenancy.identity import new_id
    from mailroom.fakes.memory import FixedChance

    foreign = new_id("org", now=1.0, chance=FixedChance(), environment="staging")
    told = platform.ask("GET", f"/organisations/{foreign}")
    assert (told.status, told.json["error"]["code"]) == (404, "foreign_environment")


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [(None, 401, "unauthenticated"), ("wrong", 401, "unauthenticated")],
)
def test_without_a_key_nobody_gets_in(
    platform: Management, key: str | None, status: int, code: str
) -> None:
    told = platform.ask("GET", "/organisations", key=key)
    assert (told.status, told.json["error"]["code"]) == (status, code)
    assert told.headers["www-authenticate"] == "Bearer"


def test_a_scope_that_is_missing_is_a_refusal(platform: Management) -> None:
    org = platform.organisation()
    key = platform.organisation_key(org, "servers:read")
    told = platform.ask("POST", f"/organisations/{org}/servers", {"name": "x"}, key=key)
    assert (told.status, told.json["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": 5}, "name"),
        ({"name": "x", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"name": "a\u0000b"}, "name"),
        ({"name": "x", "permalink": "A B"}, "permalink"),
        ({}, "name"),
    ],
)
def test_bad_fields_are_named(platform: Management, body: dict[str, object], path: str) -> None:
    told = platform.ask("POST", "/organisations", body)
    assert told.status == 422
    assert [each["path"] for each in told.json["error"]["fields"]] == [path]
    assert told.json["error"]["request_id"] == "request-1"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ("{", {}, 400, "invalid_json"),
        ("[]", {}, 422, "validation_failed"),
        ("{}", {"content-type": "text/xml"}, 415, "unsupported_media_type"),
        ("{}", {"content-encoding": "gzip"}, 415, "unsupported_coding"),
        ('{"name": "' + "x" * 1_048_576 + '"}', {}, 413, "body_too_large"),
        ("[" * 100_000, {}, 400, "invalid_json"),
    ],
)
def test_malformed_bodies_are_refused_by_kind(
    platform: Management, body: str, headers: dict[str, str], status: int, code: str
) -> None:
    told = platform.ask("POST", "/organisations", body, headers=headers)
    assert (told.status, told.json["error"]["code"]) == (status, code)


def test_a_change_of_what_has_changed_since_is_refused(platform: Management) -> None:
    org = platform.organisation()
    assert platform.ask("PATCH", f"/organisations/{org}", {"name": "B"}).headers["etag"] == '"2"'
    late = platform.ask(
        "PATCH", f"/organisations/{org}", {"name": "C"}, headers={"if-match": '"1"'}
    )
    assert (late.status, late.json["error"]["code"]) == (412, "changed_meanwhile")
    right = platform.ask(
        "PATCH", f"/organisations/{org}", {"name": "C"}, headers={"if-match": '"2"'}
    )
    assert right.status == 200


def test_a_repeated_request_with_an_idempotency_key_is_answered_as_the_first(
    platform: Management,
) -> None:
    headers = {"idempotency-key": "abc"}
    first = platform.ask("POST", "/organisations", {"name": "A"}, headers=headers)
    again = platform.ask("POST", "/organisations", {"name": "A"}, headers=headers)
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["idempotency-replayed"] == "true"
    other = platform.ask("POST", "/organisations", {"name": "B"}, headers=headers)
    assert (other.status, other.json["error"]["code"]) == (422, "idempotency_key_reused")


def test_a_refused_request_may_be_repeated(platform: Management) -> None:
    headers = {"idempotency-key": "abc"}
    platform.organisation("Taken")
    body = {"name": "Another", "permalink": "taken"}
    refused = platform.ask("POST", "/organisations", body, headers=headers)
    assert (refused.status, refused.json["error"]["fields"][0]["path"]) == (409, "permalink")
    assert platform.ask("POST", "/organisations", body, headers=headers).status == 409


def test_too_many_requests_are_told_when_to_come_again() -> None:
    from mail_api.v2.desk import Rates

    platform = Management(rates=Rates(limit=2, window=60))
    assert platform.ask("GET", "/me").headers["ratelimit-remaining"] == "1"
    assert platform.ask("GET", "/me").status == 200
    told = platform.ask("GET", "/me")
    assert (told.status, told.json["error"]["code"]) == (429, "rate_limited")
    assert 0 < int(told.headers["retry-after"]) <= 60


def test_a_list_is_paged_in_a_stable_order(platform: Management) -> None:
    made = [platform.organisation(f"Org {n}") for n in range(5)]
    found, cursor = [], ""
    while True:
        page = platform.ask("GET", "/organisations", query=f"limit=2&cursor={cursor}").json
        found += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == sorted(made)
    bad = platform.ask("GET", "/organisations", query="cursor=!!")
    assert (bad.status, bad.json["error"]["code"]) == (422, "bad_cursor")
    assert platform.ask("GET", "/organisations", query="limit=0").status == 422
    assert platform.ask("GET", "/organisations", query="colour=red").status == 422


def test_a_tenant_lifts_its_own_suspension_but_not_the_platforms(platform: Management) -> None:
    org = platform.organisation()
    server = platform.server(org)
    key = platform.organisation_key(org)
    own = platform.ask("POST", f"/servers/{server}/suspend", {"reason": "holiday"}, key=key)
    assert own.json["suspended"] == "holiday"
    assert platform.ask("POST", f"/servers/{server}/unsuspend", key=key).status == 200
    platform.ask("POST", f"/servers/{server}/suspend", {"reason": "abuse"})
    assert platform.ask("POST", f"/servers/{server}/unsuspend", key=key).status == 403
    assert platform.ask("POST", f"/servers/{server}/unsuspend").status == 200


def test_reserved_fields_are_the_platforms_to_set(platform: Management) -> None:
    org = platform.organisation()
    key = platform.organisation_key(org)
    path = f"/organisations/{org}/servers"
    for field in ({"token": "abcdef"}, {"allow_sender": True}, {"brake": {"complaints": 50}}):
        assert platform.ask("POST", path, {"name": "x", **field}, key=key).status == 403
        assert platform.ask("POST", path, {"name": str(field), **field}).status == 201
    # A foreign field is refused as unknown, whoever sends it.
    assert platform.ask("POST", path, {"name": "x", "organisation": "other"}).status == 422


def test_a_deleted_organisation_stops_its_servers_and_their_keys(platform: Management) -> None:
    org = platform.organisation()
    server = platform.server(org)
    key = platform.server_key(server)
    assert platform.ask("GET", f"/servers/{server}", key=key).status == 200
    assert platform.ask("DELETE", f"/organisations/{org}").status == 204
    assert platform.ask("GET", f"/servers/{server}", key=key).status == 401
    assert platform.ask("GET", f"/organisations/{org}").status == 404
    assert platform.ask("POST", f"/deleted-organisations/{org}/restore").status == 200
    assert platform.ask("GET", f"/servers/{server}", key=key).status == 200


def test_every_change_is_in_the_audit_log(platform: Management) -> None:
    org = platform.organisation()
    platform.ask("PATCH", f"/organisations/{org}", {"name": "New"})
    from mailroom.domain.tenancy.audit import audit_partition

    partition = audit_partition(org, platform.memory.clock.at)
    entries = [r.body for r in platform.registry.page(partition, "", limit=10).records]
    assert [each["action"] for each in entries] == ["create", "update"] or [
        each["action"] for each in entries
    ] == ["update", "create"]
    update = next(each for each in entries if each["action"] == "update")
    assert (update["before"], update["after"]) == ({"name": "Acme"}, {"name": "New"})
    assert update["actor"]["id"] == "key_root"
    assert update["request_id"] == "request-1"


def test_the_description_lists_every_operation(platform: Management) -> None:
    told = platform.ask("GET", "/openapi.json", key=None)
    assert told.status == 200
    assert told.json["openapi"] == "3.1.0"
    assert told.json["paths"]["/api/v2/servers/{server}"]["get"]["operationId"] == "servers.read"
    page = platform.ask("GET", "/docs", key=None)
    assert "Create an organisation" in page.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("PUT", "/organisations", 405, "method_not_allowed"),
    ],
)
def test_what_no_operation_answers_is_refused_in_the_same_shape(
    platform: Management, method: str, path: str, status: int, code: str
) -> None:
    told = platform.ask(method, path)
    assert told.status == status
    assert (told.json["error"]["code"], told.json["error"]["fields"]) == (code, [])
