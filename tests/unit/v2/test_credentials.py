"""Credentials of a server over the management API, and the rows the sending path reads of them."""

from typing import Any

import pytest

from mailroom.domain.message import Credential, ServerId
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.spelling import credential_pk, load_credential, network_pk
from tests.support.management import Management
from tests.support.people import member


@pytest.fixture
def platform() -> Management:
    return Management()


@pytest.fixture
def server(platform: Management) -> str:
    return platform.server(platform.organisation())


def made(platform: Management, server: str, type_: str, key: str = "", **body: Any) -> Any:
    fields = {"type": type_, "name": "Main", **body}
    return platform.made(f"/servers/{server}/credentials", fields, key=key)


def opened(platform: Management, secret: str) -> Credential | None:
    """What the sending path finds for a secret."""
    record = platform.registry.read(Place(credential_pk(secret)))
    return load_credential(dict(record.body)) if record else None


def cram(platform: Management, server: str) -> list[tuple[Credential, str]]:
    """What the sending path finds for CRAM-MD5."""
    page = platform.registry.page(f"server#{server}", "cram#", limit=100)
    keyring = platform.desk.keyring
    return [
        (load_credential(dict(r.body)), keyring.unwrap(r.secret, f"server#{server}").decode())
        for r in page.records
    ]


def test_the_sending_path_reads_what_was_set(platform: Management, server: str) -> None:
    until = platform.clock.at + 1_000
    shown = made(
        platform, server, "API", scopes=["messages:send", "domains:read"], stream="broadcast",
        hold=True, networks=["192.0.2.0/24", "2001:db8::1"], expires_at=until,
    )  # fmt: skip
    assert opened(platform, shown["secret"]) == Credential(
        id=shown["id"],
        server=ServerId(server),
        kind="api",
        name="Main",
        hold=True,
        scopes=frozenset({"messages:send", "domains:read"}),
        networks=("192.0.2.0/24", "2001:db8::1/128"),
        expires_at=until,
        stream="broadcast",
    )


def test_a_credential_is_good_for_sending_unless_it_says_more(
    platform: Management, server: str
) -> None:
    shown = made(platform, server, "API")
    assert shown["scopes"] == ["messages:send"]
    assert platform.ask("GET", f"/servers/{server}/domains", key=shown["secret"]).status == 403
    wide = made(platform, server, "API", scopes=["domains:read"])
    assert platform.ask("GET", f"/servers/{server}/domains", key=wide["secret"]).status == 200


def test_a_secret_is_shown_once(platform: Management, server: str) -> None:
    for type_ in ("API", "SMTP"):
        shown = made(platform, server, type_, cram=type_ == "SMTP")
        path = f"/servers/{server}/credentials"
        for told in (platform.ask("GET", path), platform.ask("GET", f"{path}/{shown['id']}")):
            assert shown["secret"] not in told.text
            assert shown["hint"] == shown["secret"][-4:]


def test_a_rotated_smtp_password_works_in_all_ways_until_the_overlap_ends(
    platform: Management, server: str
) -> None:
    old = made(platform, server, "SMTP", cram=True)
    path = f"/servers/{server}/credentials/{old['id']}"
    new = platform.ask("POST", f"{path}/rotate", {"overlap_seconds": 600}).json
    until = platform.clock.at + 600
    ends = {secret: credential.expires_at for credential, secret in cram(platform, server)}
    assert ends == {old["secret"]: until, new["secret"]: None}
    for secret, end in ends.items():
        found = opened(platform, secret)
        assert found is not None
        assert (found.id, found.expires_at) == (old["id"], end)
    third = platform.ask("POST", f"{path}/rotate", {"overlap_seconds": 0}).json
    assert [secret for _, secret in cram(platform, server)] == [third["secret"]]
    assert opened(platform, old["secret"]) is None
    assert opened(platform, new["secret"]) is None


def test_a_deleted_credential_stops_at_once_and_can_be_had_back(
    platform: Management, server: str
) -> None:
    shown = made(platform, server, "SMTP", cram=True)
    path = f"/servers/{server}/credentials/{shown['id']}"
    assert platform.ask("DELETE", path).status == 204
    assert opened(platform, shown["secret"]) is None
    assert cram(platform, server) == []
    listed = platform.ask("GET", f"/servers/{server}/credentials", query="deleted=true").json
    assert [each["id"] for each in listed["data"]] == [shown["id"]]
    assert platform.ask("POST", f"{path}/restore").status == 200
    assert opened(platform, shown["secret"]) is not None
    assert [secret for _, secret in cram(platform, server)] == [shown["secret"]]


def test_a_network_opens_one_server(platform: Management, server: str) -> None:
    other = platform.server(platform.organisation("Other"))
    shown = made(platform, server, "SMTP-IP", network="192.0.2.0/24")
    assert (shown["secret"], shown["hint"], shown["network"]) == (None, None, "192.0.2.0/24")
    record = platform.registry.read(Place(network_pk("192.0.2.0/24")))
    assert record is not None
    assert load_credential(dict(record.body)).server == server
    body = {"type": "SMTP-IP", "name": "x", "network": "192.0.2.0/24"}
    for each in (server, other):
        told = platform.ask("POST", f"/servers/{each}/credentials", body)
        assert (told.status, told.json["error"]["fields"][0]["path"]) == (409, "network")
    path = f"/servers/{server}/credentials/{shown['id']}"
    platform.ask("DELETE", path)
    assert platform.ask("POST", f"/servers/{other}/credentials", body).status == 201
    assert platform.ask("POST", f"{path}/restore").status == 409
    rotated = platform.ask("POST", f"/servers/{other}/credentials/x/rotate", {})
    assert rotated.status == 404


def test_what_has_no_secret_is_not_rotated(platform: Management, server: str) -> None:
    shown = made(platform, server, "SMTP-IP", network="192.0.2.7")
    told = platform.ask("POST", f"/servers/{server}/credentials/{shown['id']}/rotate", {})
    assert (told.status, told.json["error"]["code"]) == (422, "no_secret")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "SMTP-IP"},
        {"type": "SMTP-IP", "network": "10.0.0.0/7"},
        {"type": "SMTP-IP", "network": "192.0.2.1/24"},
        {"type": "SMTP-IP", "network": "192.0.2.1", "networks": ["192.0.2.1"]},
        {"type": "SMTP-IP", "network": "192.0.2.1", "secret": "x" * 24},
        {"type": "API", "network": "192.0.2.1"},
        {"type": "API", "cram": True},
        {"type": "SMTP", "scopes": ["domains:read"]},
        {"type": "API", "scopes": []},
        {"type": "API", "scopes": ["members:write"]},
        {"type": "API", "scopes": ["*"]},
        {"type": "API", "secret": "x" * 15},
        {"type": "API", "secret": "x" * 20 + " \u00e4"},
        {"type": "API", "stream": "No Such"},
        {"type": "api"},
        {"type": "API", "secret_hash": "0" * 64},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    platform: Management, server: str, body: dict[str, Any]
) -> None:
    told = platform.ask("POST", f"/servers/{server}/credentials", {"name": "x", **body})
    assert (told.status, told.json["error"]["code"]) == (422, "validation_failed")


def test_a_stream_is_one_the_server_has(platform: Management, server: str) -> None:
    path, body = f"/servers/{server}/credentials", {"type": "API", "name": "x", "stream": "news"}
    assert platform.ask("POST", path, body).status == 404
    platform.made(f"/servers/{server}/streams", {"name": "news", "class": "broadcast"})
    assert platform.ask("POST", path, body).status == 201


def test_a_secret_from_elsewhere_is_the_platforms_to_bring(
    platform: Management, server: str
) -> None:
    path, secret = f"/servers/{server}/credentials", "Ab1" * 8
    body = {"type": "SMTP", "name": "x", "secret": secret}
    org = platform.ask("GET", f"/servers/{server}").json["organisation"]
    owner = member(platform, org, "owner")
    for key in (owner.token, platform.organisation_key(org)):
        assert platform.ask("POST", path, body, key=key).status == 403
    assert platform.made(path, body)["secret"] == secret
    assert opened(platform, secret) is not None
    again = platform.ask("POST", path, body)
    assert (again.status, again.json["error"]["code"]) == (409, "already_exists")


def test_nobody_gives_a_credential_what_they_do_not_hold(platform: Management, server: str) -> None:
    path = f"/servers/{server}/credentials"
    key = platform.server_key(server, "credentials:write", "credentials:read", "domains:read")
    body = {"type": "API", "name": "x", "scopes": ["domains:read"]}
    mine = platform.made(path, body, key=key)
    for scopes in (["domains:write"], ["messages:send"]):
        told = platform.ask("POST", path, {**body, "scopes": scopes}, key=key)
        assert told.status == 403
        one = f"{path}/{mine['id']}"
        assert platform.ask("PATCH", one, {"scopes": scopes}, key=key).status == 403
    wide = made(platform, server, "API")
    assert platform.ask("POST", f"{path}/{wide['id']}/rotate", {}, key=key).status == 403
    assert platform.ask("PATCH", f"{path}/{wide['id']}", {"hold": False}, key=key).status == 403


def test_a_change_is_what_the_sending_path_reads_next(platform: Management, server: str) -> None:
    shown = made(platform, server, "SMTP", cram=True)
    path = f"/servers/{server}/credentials/{shown['id']}"
    told = platform.ask("PATCH", path, {"hold": True, "networks": ["192.0.2.1"]})
    assert told.status == 200
    for found in (opened(platform, shown["secret"]), cram(platform, server)[0][0]):
        assert found is not None
        assert (found.hold, found.networks) == (True, ("192.0.2.1/32",))
    assert platform.ask("PATCH", path, {"scopes": ["domains:read"]}).status == 422
    assert platform.ask("PATCH", path, {"type": "API"}).status == 422
    by_address = made(platform, server, "SMTP-IP", network="192.0.2.7")
    told = platform.ask(
        "PATCH", f"/servers/{server}/credentials/{by_address['id']}", {"networks": ["192.0.2.1"]}
    )
    assert told.status == 422


def test_postals_api_takes_a_key_and_its_use_is_seen(platform: Management, server: str) -> None:
    shown = made(platform, server, "API", scopes=["messages:send", "servers:read"])
    assert platform.ask("GET", f"/servers/{server}", key=shown["secret"]).status == 200
    told = platform.ask("GET", f"/servers/{server}/credentials/{shown['id']}").json
    assert (told["last_used_at"], told["usage"]) == (platform.clock.at, "Active")
