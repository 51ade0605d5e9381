"""A desk for domains: the use cases over ports in memory, and a DNS that can be filled."""

from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.dns.records import PlatformNames, expected_records
from mailroom.domain.message import Server, ServerId
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.domain import DOMAIN, sending_domain
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import Resource
from mailroom.fakes.dns import MemoryDkimKeys, MemoryDns, MemorySpf
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryKeyring, MemoryRegistry
from mailroom.fakes.server_facts import MemoryServerFacts
from mailroom.usecases.domain_checks import DomainPorts
from mailroom.usecases.domains import create_domain
from mailroom.usecases.registrar import Registrar

PLATFORM = PlatformNames(
    spf_include="spf.mail.test",
    return_path="rp.mail.test",
    tracking="track.mail.test",
    mx=("mx1.mail.test",),
)
ME = Actor("platform", "key_1", "A test", "request-1", "192.0.2.1")
ORGANISATION = "org_1"
SERVER = Server(ServerId("abcdefghij"), ORGANISATION, "Demo", "demo", "abc123")
PARENT = f"server#{SERVER.id}"


@dataclass
class DomainDesk:
    """What a test of domains needs; `publish` does what a diligent tenant would."""

    dns: MemoryDns = field(default_factory=MemoryDns)
    keys: MemoryDkimKeys = field(default_factory=MemoryDkimKeys)
    clock: FixedClock = field(default_factory=FixedClock)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    facts: MemoryServerFacts = field(default_factory=MemoryServerFacts)
    keyring: MemoryKeyring = field(default_factory=MemoryKeyring)

    @property
    def ports(self) -> DomainPorts:
        return DomainPorts(
            registrar=Registrar(self.registry, self.clock, self.chance, "test"),
            keyring=self.keyring,
            dns=self.dns,
            spf=MemorySpf(self.dns),
            keys=self.keys,
            facts=self.facts,
            platform=PLATFORM,
        )

    def __post_init__(self) -> None:
        self.chance = FixedChance(3)
        self.registry.write(
            [Change.put(Record(Place(f"server#{SERVER.id}"), {"organisation": ORGANISATION}))]
        )

    def domain(self, name: str = "example.com", parent: str = PARENT, **how: Any) -> Resource:
        given = {"name": name, **how.pop("given", {})}
        return create_domain(parent, ORGANISATION, given, self.ports, actor=ME, **how)

    def again(self, domain: Resource) -> Resource:
        return self.ports.registrar.read(DOMAIN, domain.parent, domain.id)

    def publish(self, domain: Resource) -> None:
        """Put everything that is expected into the DNS."""
        found: dict[tuple[str, str], list[str]] = {}
        for record in expected_records(sending_domain(domain.fields), PLATFORM):
            found.setdefault((record.name, record.kind), []).append(record.value)
        for (name, kind), values in found.items():
            self.dns.publish(name, kind, *values)
