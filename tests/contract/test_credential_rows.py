"""What the register writes of credentials and keys is what the sending path reads, on AWS."""

from dataclasses import dataclass

import pytest

from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Credential
from mailroom.domain.tenancy.access import ALL, Actor, Kind, Principal, Target
from mailroom.domain.tenancy.kinds.credential import CREDENTIAL, credential_of
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.errors import AlreadyExistsError
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.usecases.credentials import CredentialPorts, create_credential, rotate_credential
from mailroom.usecases.identify import UnauthenticatedError, identify
from mailroom.usecases.keys import Holder, create_key, rotate_key
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.servers import ServerPorts, create_server

pytestmark = pytest.mark.emulator
ROOT = Holder(
    Principal(Kind.PLATFORM, "root", "root", frozenset({ALL})), Actor("platform", "root", "root")
)
SENDING = ["messages:send"]


@dataclass
class World:
    registrar: Registrar
    keyring: KmsKeyring
    rows: type[DirectoryRow]
    clock: FixedClock

    @property
    def ports(self) -> CredentialPorts:
        return CredentialPorts(self.registrar, self.keyring)

    def directory(self) -> DynamoDirectory:
        """A process that has read nothing yet."""
        return DynamoDirectory(self.rows, self.clock, self.keyring)


@pytest.fixture
def world(cloud) -> World:
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
    clock = FixedClock(4e9)  # rows of the past vanish: their ttl is over
    return World(
        Registrar(DynamoRegistry(rows), clock, FixedChance(3), "test"), keyring, rows, clock
    )


@pytest.fixture
def target(world: World) -> Target:
    owner = world.registrar.create(
        ORGANISATION,
        PLATFORM,
        {"name": "Acme", "permalink": "acme", "time_zone": "UTC"},
        actor=ROOT.actor,
        organisation="org_1",
        id_="org_1",
    )
    fields = {"name": "Main", "permalink": "main", "mode": "live", "suspended": None}
    server = create_server(owner.id, fields, actor=ROOT.actor, ports=ServerPorts(world.registrar))
    return Target(owner.id, server.id)


def test_an_smtp_password_opens_its_server_in_both_ways(world: World, target: Target) -> None:
    fields = {"type": "SMTP", "name": "Main", "scopes": SENDING, "cram": True, "hold": True}
    made = create_credential(target, fields, holder=ROOT, ports=world.ports)
    expected = credential_of(made.resource)
    directory = world.directory()
    assert directory.credential(made.secret, "smtp") == expected
    assert directory.credential(made.secret, "api") is None
    assert directory.cram_secrets("acme/main") == [(expected, made.secret)]
    server = directory.server(expected.server)
    assert server is not None
    assert server.organisation == target.organisation
    rotated = rotate_credential(made.resource, 600, holder=ROOT, ports=world.ports)
    directory = world.directory()
    ends = {secret: c.expires_at for c, secret in directory.cram_secrets("acme/main")}
    assert ends == {made.secret: world.clock.at + 600, rotated.secret: None}
    old = directory.credential(made.secret, "smtp")
    assert old is not None
    assert old.expires_at == world.clock.at + 600
    world.registrar.delete(CREDENTIAL, rotated.resource, actor=ROOT.actor)
    directory = world.directory()
    assert directory.cram_secrets("acme/main") == []
    assert directory.credential(made.secret, "smtp") is None
    assert directory.credential(rotated.secret, "smtp") is None
    world.registrar.restore(CREDENTIAL, rotated.resource.parent, made.resource.id, actor=ROOT.actor)
    assert world.directory().credential(rotated.secret, "smtp") == expected


def test_a_network_opens_its_server_and_no_other(world: World, target: Target) -> None:
    fields = {"type": "SMTP-IP", "name": "Office", "scopes": SENDING, "network": "192.0.2.0/24"}
    made = create_credential(target, fields, holder=ROOT, ports=world.ports)
    found = world.directory().address_credential("192.0.2.77")
    assert found == Credential(
        made.resource.id, credential_of(made.resource).server, "smtp-ip", "Office"
    )
    with pytest.raises(AlreadyExistsError) as caught:
        create_credential(target, fields, holder=ROOT, ports=world.ports)
    assert caught.value.field == "network"


def test_a_key_opens_what_it_is_for_until_its_secret_is_replaced(
    world: World, target: Target
) -> None:
    parent = f"organisation#{target.organisation}"
    fields = {"name": "K", "scopes": ["servers:read"], "networks": [], "expires_at": None}
    made = create_key(parent, fields, holder=ROOT, registrar=world.registrar)

    def who(secret: str) -> Principal:
        return identify(
            secret,
            address="192.0.2.1",
            now=world.clock.at,
            registry=world.registrar.registry,
            environment="test",
        )

    assert who(made.secret).organisation == target.organisation
    new = rotate_key(made.resource, 0, holder=ROOT, registrar=world.registrar)
    assert who(new.secret).id == made.resource.id
    with pytest.raises(UnauthenticatedError):
        who(made.secret)
