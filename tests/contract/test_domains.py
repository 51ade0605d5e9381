"""Domains through the adapters: DynamoDB, KMS, real keys and name servers on loopback."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from mail_api.v2 import wiring as api_wiring
from mail_scheduler import wiring as scheduler_wiring
from mail_scheduler.domain_watch import watch_domains

from egress.sender.tenants import Tenant, Tenants
from egress.signer import load_key
from localstack.dns_server import Responder, ZoneFile
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.adapters.dns_records import DnsRecords, DnsSettings
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.spf_check import PyspfChecker
from mailroom.adapters.tables import DirectoryRow, ServerFactRow, bound
from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.records import expected_records
from mailroom.domain.dns.spelling import domain_pk
from mailroom.domain.message import ServerId
from mailroom.domain.tenancy.kinds.domain import sending_domain
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import Resource
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.usecases import domain_checks as checks
from mailroom.usecases import domains
from mailroom.usecases.domain_checks import DomainPorts
from mailroom.usecases.registrar import Registrar
from tests.contract.conftest import Cloud
from tests.support.domains import ME, ORGANISATION, PARENT, PLATFORM, SERVER
from tests.support.name_servers import RunningServer, responding

pytestmark = pytest.mark.emulator
HOUR = 3600.0
SPF = [["spf.mail.test", "TXT", "v=spf1 ip4:192.0.2.9 -all"]]


class World:
    """Everything real but the clock and the dice."""

    def __init__(self, cloud: Cloud, server: RunningServer, zone: Any) -> None:
        self.zone = zone
        self.clock = FixedClock()
        self.rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
        self.keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
        self.registry = DynamoRegistry(self.rows)
        dns = DnsRecords(DnsSettings((server.address,), timeout=1.0))
        self.ports = DomainPorts(
            registrar=Registrar(self.registry, self.clock, FixedChance(5), "test"),
            keyring=self.keyring,
            dns=dns,
            spf=PyspfChecker(dns),
            keys=CryptographyDkimKeys(),
            facts=DynamoServerFacts(bound(ServerFactRow, cloud.settings.resource("table", "mail"))),
            platform=PLATFORM,
        )
        body = {
            "organisation": ORGANISATION,
            "name": "Demo",
            "permalink": "demo",
            "token": "abc123",
            "tracking": None,
            "suspended": None,
        }
        self.registry.write([Change.put(Record(Place(f"server#{SERVER.id}"), body))])

    def publish(self, domain: Resource) -> None:
        records = expected_records(sending_domain(domain.fields), PLATFORM)
        self.zone([[r.name, str(r.kind), _absolute(str(r.kind), r.value)] for r in records] + SPF)

    def tenant(self, name: str = "example.com") -> Tenant:
        directory = DynamoDirectory(self.rows, self.clock, self.keyring)
        tenants = Tenants(
            directory, self.keyring, platform_return_path="rp.mail.test", clock=lambda: 0.0
        )
        found = asyncio.run(tenants.of(_submission(name)))
        assert found is not None
        return found


def _absolute(kind: str, value: str) -> str:
    return value if kind == "TXT" else f"{value}."


def _submission(sign_domain: str) -> Any:
    class Submission:
        server = SERVER.id

    submission = Submission()
    submission.sign_domain = sign_domain  # type: ignore[attr-defined]
    return submission


@contextmanager
def _zone(path: Any) -> Iterator[tuple[RunningServer, Any]]:
    path.write_text('{"records": []}', encoding="utf-8")
    zone = ZoneFile(path)

    def write(records: list[list[str]]) -> None:
        path.write_text(json.dumps({"records": records}), encoding="utf-8")

    with responding(Responder(zone, None).respond) as server:
        yield server, write


@pytest.fixture
def world(cloud: Cloud, tmp_path: Any) -> Iterator[World]:
    with _zone(tmp_path / "zone.json") as (server, write):
        yield World(cloud, server, write)


def test_from_an_empty_dns_to_two_signatures(world: World) -> None:
    domain = domains.create_domain(
        PARENT, ORGANISATION, {"name": "example.com"}, world.ports, actor=ME
    )
    assert world.tenant().signing_key is None
    domain = domains.rotate_key(domain, world.ports, actor=ME, kind=KeyKind.ED25519)
    world.clock.at += HOUR
    assert watch_domains(world.ports, world.clock.now()) == {"domains_checked": 1}
    assert world.tenant().signing_key is None
    world.publish(domain)
    world.clock.at += HOUR
    assert watch_domains(world.ports, world.clock.now()) == {"domains_checked": 1}
    watch = checks.read_watch(domain.id, world.ports.registrar)
    assert watch is not None
    assert {c.key: str(c.state) for c in watch.checks if c.state != "ok"} == {}
    tenant = world.tenant()
    assert tenant.return_path_domain == "psrp.example.com"
    assert tenant.signing_key is not None
    assert load_key(tenant.signing_key.private_key).key_size == 2048  # type: ignore[union-attr]
    assert [key.selector for key in tenant.more_keys] != [tenant.signing_key.selector]
    assert len(load_key(tenant.more_keys[0].private_key).private_bytes_raw()) == 32  # type: ignore[union-attr]
    assert world.tenant("EXAMPLE.COM").signing_key == tenant.signing_key


def test_a_failure_is_told_and_a_deleted_domain_leaves_nothing_due(world: World) -> None:
    domain = domains.create_domain(
        PARENT, ORGANISATION, {"name": "example.com"}, world.ports, actor=ME
    )
    world.publish(domain)
    for _ in range(2):
        domain, _ = checks.check_domain(domain, world.ports, actor=ME)
    world.zone([["example.com", "TXT", "nothing"], *SPF])
    for _ in range(4):
        world.clock.at += HOUR
        watch_domains(world.ports, world.clock.now())
    (fact,) = world.ports.facts.told(ServerId(SERVER.id), limit=10)
    assert (fact.name, fact.payload["dkim_status"]) == ("DomainDNSError", "Missing")
    domain = world.ports.registrar.read(domains.DOMAIN, PARENT, domain.id)
    domains.delete_domain(domains.DOMAIN, domain, world.ports.registrar, actor=ME)
    assert checks.due_domains(world.clock.now() + 1e6, 10, world.ports) == []
    assert world.registry.read(Place(domain_pk("example.com"), PARENT)) is None


def test_a_row_of_the_release_before_is_read_as_it_was_meant(world: World) -> None:
    DirectoryRows(world.rows, world.keyring).put_domain(
        "old.example",
        PARENT,
        selector="postal-ABCDEF",
        private_key=b"private",
        verified=True,
        return_path_ok=True,
    )
    directory = DynamoDirectory(world.rows, world.clock, world.keyring)
    found = directory.sending_domain(SERVER, "old.example")
    assert found is not None
    assert (found.return_path, found.more_keys) == ("psrp.old.example", ())


def test_an_international_name_is_found_however_it_is_written(world: World) -> None:
    domains.create_domain(
        PARENT,
        ORGANISATION,
        {"name": "b\u00fccher.example"},
        world.ports,
        actor=ME,
        verified=True,
    )
    directory = DynamoDirectory(world.rows, world.clock, world.keyring)
    for name in ("b\u00fccher.example", "xn--bcher-kva.example", "B\u00dcCHER.example"):
        found = directory.sending_domain(SERVER, name)
        assert found is not None
        assert found.name == "xn--bcher-kva.example"
    assert directory.sending_domain(SERVER, "\u2603\u200d.example") is None


def test_both_functions_are_composed_of_what_they_are_given(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud.settings.resources.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAILROOM_NAMESERVERS", "127.0.0.1:9")
    monkeypatch.setenv("MAILROOM_SPF_INCLUDE", "spf.mail.test")
    kept = (scheduler_wiring._settings, scheduler_wiring._registry)
    for each in kept:
        each.cache_clear()
    try:
        for compose in (api_wiring.domain_ports, scheduler_wiring.domain_ports):
            ports = compose.__wrapped__()
            assert ports.platform.spf_include == "spf.mail.test"
            assert checks.recheck_domains(ports.registrar.clock.now(), ports) == 0
    finally:
        for each in kept:
            each.cache_clear()
