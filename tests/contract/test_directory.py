"""Who may send what: fake and adapter keep the same promises."""

import json
from dataclasses import replace

import pytest

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_directory import FRESH_SECONDS, DynamoDirectory
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import (
    Credential,
    Domain,
    OnSuppressed,
    Server,
    ServerId,
    Tracking,
    Webhook,
)
from mailroom.domain.send_limit import LimitAction, Limits
from mailroom.domain.tenancy.kinds.stream import STREAM
from mailroom.domain.tenancy.resource import Resource
from mailroom.domain.tenancy.spelling import credential_pk
from mailroom.fakes.memory import FixedClock, MemoryDirectory, MemoryKey

SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
TRACKED = replace(
    SERVER,
    id=ServerId("bbbbbbbbbb"),
    tracking=Tracking("https://t.test", clicks=False),
    suspended="abuse",
    limits=Limits(10, None, 1000, LimitAction.DELAY),
    time_zone="Europe/Berlin",
    retention_raw_days=7,
    retention_days=400,
    postmaster_address="post@x.test",
    suppressed=OnSuppressed.HOLD,
)


class Fake:
    """Writes as a person would, reads through the port."""

    def __init__(self):
        self.port = MemoryDirectory()
        self.put_server = self.port.add_server
        self.put_credential = self.port.add_credential
        self.put_webhook = self.port.add_webhook
        self.put_stream = self.port.add_stream

    def put_domain(self, name, owner, *, verified=True):
        self.port.add_domain(Domain(name, owner, verified, "sel", b"", return_path_ok=True))

    def put_key(self, purpose, kid, secret, created_at):
        self.port.add_key(purpose, MemoryKey(kid, secret, "pem", created_at))

    def secret_of(self, domain):
        return b"private"

    def age(self):
        """Nothing is cached here."""


class Dynamo:
    def __init__(self, cloud):
        table = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
        self.keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
        self.clock = FixedClock()
        self.port = DynamoDirectory(table, self.clock, self.keyring)
        self.rows = DirectoryRows(table, self.keyring)
        self.put_server = self.rows.put_server
        self.put_credential = self.rows.put_credential
        self.table = table
        self.put_webhook = self.rows.put_webhook

    def put_stream(self, server, name, class_):
        for record in STREAM.runtime(
            Resource("stream", f"server#{server}", name, {"name": name, "class": class_})
        ):
            row = self.table(record.place.partition, record.place.sort)
            row.json = json.dumps(record.body)
            row.save()

    def put_domain(self, name, owner, *, verified=True):
        self.rows.put_domain(
            name, owner, selector="sel", private_key=b"private", verified=verified,
            return_path_ok=True,
        )  # fmt: skip

    def put_key(self, purpose, kid, secret, created_at):
        self.rows.put_key(purpose, kid, secret, created_at=created_at, public="pem")

    def secret_of(self, domain):
        return self.keyring.unwrap(domain.wrapped_key, domain.owner)

    def age(self):
        self.clock.at += FRESH_SECONDS


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def desk(request):
    return Fake() if request.param == "memory" else Dynamo(request.getfixturevalue("cloud"))


@pytest.mark.parametrize("server", [SERVER, TRACKED], ids=["plain", "tracked and suspended"])
def test_a_server_comes_back_as_it_was_written(desk, server):
    desk.put_server(server)
    assert desk.port.server(server.id) == server


def test_a_stream_of_a_servers_own_has_the_class_it_was_given(desk):
    assert desk.port.stream_class(SERVER.id, "news") == "transactional"
    desk.put_stream(SERVER.id, "news", "broadcast")
    desk.age()
    assert desk.port.stream_class(SERVER.id, "news") == "broadcast"
    assert desk.port.stream_class(TRACKED.id, "news") == "transactional"


def test_an_unknown_server_is_none(desk):
    assert desk.port.server(SERVER.id) is None


def test_a_secret_opens_its_credential_for_its_kind_only(desk):
    credential = Credential("c1", SERVER.id, "api", "main")
    desk.put_credential(credential, "S" * 24)
    assert desk.port.credential("S" * 24, "api") == credential
    assert desk.port.credential("S" * 24, "smtp") is None
    assert desk.port.credential("s" * 24, "api") is None
    assert desk.port.credential("", "api") is None


def test_a_domain_of_the_server_goes_before_its_organisations(desk):
    desk.put_domain("demo.test", "organisation#org1")
    assert desk.port.sending_domain(SERVER, "demo.test").owner == "organisation#org1"
    desk.put_domain("demo.test", "server#abcdefghij")
    desk.age()
    found = desk.port.sending_domain(SERVER, "DEMO.test")
    assert (found.name, found.owner, found.selector) == ("demo.test", "server#abcdefghij", "sel")
    assert found.verified
    assert found.return_path_ok
    assert desk.secret_of(found) == b"private"


def test_an_unverified_domain_may_not_send(desk):
    desk.put_domain("demo.test", "server#abcdefghij", verified=False)
    assert desk.port.sending_domain(SERVER, "demo.test") is None
    desk.put_domain("demo.test", "organisation#org1")
    desk.age()
    assert desk.port.sending_domain(SERVER, "demo.test").owner == "organisation#org1"


def test_a_strangers_domain_is_not_ours(desk):
    desk.put_domain("demo.test", "server#bbbbbbbbbb")
    desk.put_domain("sub.demo.test", "server#abcdefghij")
    assert desk.port.sending_domain(SERVER, "demo.test") is None


def test_only_the_servers_enabled_webhooks_are_named(desk):
    mine = Webhook("w1", SERVER.id, "https://h.test/1", frozenset({"MessageSent"}))
    every = Webhook("w2", SERVER.id, "https://h.test/2")
    for hook in (
        mine,
        every,
        Webhook("w3", SERVER.id, "https://h.test/3", enabled=False),
        Webhook("w4", TRACKED.id, "https://h.test/4"),
    ):
        desk.put_webhook(hook)
    assert sorted(desk.port.webhooks(SERVER.id), key=lambda hook: hook.id) == [mine, every]


def test_the_platforms_newest_key_is_current_and_the_others_still_known(desk):
    desk.put_key("verp", "b", b"old", 1.0)
    desk.put_key("verp", "a", b"new", 2.0)
    desk.put_key("token", "c", b"other", 3.0)
    current = desk.port.current_key("verp")
    assert (current.kid, current.secret, current.public) == ("a", b"new", "pem")
    assert {kid: key.secret for kid, key in desk.port.keys("verp").items()} == {
        "b": b"old",
        "a": b"new",
    }


def test_a_platform_without_a_key_says_so(desk):
    with pytest.raises(LookupError, match="token"):
        desk.port.current_key("token")


def test_a_credential_keeps_its_bounds(desk):
    bound_to = replace(
        Credential("c7", SERVER.id, "api", "bound"),
        scopes=frozenset({"messages:send", "domains:read"}),
        networks=("192.0.2.0/24",),
        expires_at=1_760_000_000.5,
        stream="broadcast",
        hold=True,
    )
    desk.put_credential(bound_to, "s7")
    assert desk.port.credential("s7", "api") == bound_to


@pytest.mark.emulator
def test_rows_of_the_release_before_may_do_what_they_did(cloud):
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    row = rows(credential_pk("old"), "-")
    row.json = json.dumps({"id": "c1", "server": SERVER.id, "kind": "api", "name": "old"})
    row.save()
    found = Dynamo(cloud).port.credential("old", "api")
    assert {"messages:send", "messages:read", "messages:write"} <= found.scopes
    assert (found.networks, found.expires_at, found.stream) == ((), None, "")


@pytest.mark.emulator
def test_the_organisations_days_are_those_of_its_servers(cloud):
    dynamo = Dynamo(cloud)
    dynamo.put_server(replace(SERVER, time_zone="Europe/Berlin"))
    assert dynamo.port.server(SERVER.id).time_zone == "Europe/Berlin"
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    row = rows("organisation#org1", "-")
    row.json = json.dumps({"suspended": None, "time_zone": "Asia/Tokyo"})
    row.save()
    dynamo.age()
    assert dynamo.port.server(SERVER.id).time_zone == "Asia/Tokyo"
