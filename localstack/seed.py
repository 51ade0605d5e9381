"""The demonstration tenant: organisation, server, credentials, verified domain, webhook, keys.

Written through the platform's own use cases and adapters, so what is demonstrated is what runs.
"""

import base64
import hashlib

from localstack.config import FROM_DOMAIN, LOOPBACK, PLATFORM_DOMAIN, StackConfig
from localstack.demo_pools import make_pools
from localstack.tenant import ORGANISATION, PERMALINK, Secrets, public_pem
from mailroom.adapters.clients import client
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.adapters.dns_records import DnsRecords, DnsSettings
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.dynamo_server_facts import DynamoServerFacts
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.spf_check import PyspfChecker
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, ServerFactRow, bound
from mailroom.domain.message import Credential, ServerId
from mailroom.domain.tenancy.access import ALL, SERVER_SCOPES, Actor
from mailroom.domain.tenancy.kinds.domain import DOMAIN
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION as ORGANISATION_KIND
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.resource import PLATFORM
from mailroom.errors import AlreadyExistsError
from mailroom.settings import Settings
from mailroom.usecases.domain_checks import DomainPorts
from mailroom.usecases.domains import OwnKey, create_domain
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.servers import ServerPorts, create_server

SEEDER = Actor("local", "seed", "The local stack")


def seed(config: StackConfig, kept: Secrets, settings: Settings, now: float) -> None:
    """Write the tenant's and the platform's rows. `now` is Unix seconds."""
    keyring = KmsKeyring(client("kms"), settings.resource("key", "secrets"))
    model = bound(DirectoryRow, settings.resource("table", "directory"))
    rows = DirectoryRows(model, keyring)
    registrar = Registrar(
        DynamoRegistry(model), SystemClock(), SystemChance(), settings.environment
    )
    try:
        _make_tenant(config, kept, registrar)
    except AlreadyExistsError:  # a cloud that keeps what it has, LocalStack's for instance
        return
    _make_credentials(kept, rows)
    _make_domain(config, kept, settings, registrar, keyring)
    _make_keys(kept, rows, registrar, now)
    if config.pools:
        make_pools(kept["server"], PLATFORM_DOMAIN, registrar, SEEDER)


def _make_tenant(config: StackConfig, kept: Secrets, registrar: Registrar) -> None:
    organisation = {"name": "Demo", "permalink": ORGANISATION, "time_zone": "UTC"}
    registrar.create(
        ORGANISATION_KIND,
        PLATFORM,
        {**organisation, "suspended": None},
        actor=SEEDER,
        organisation=ORGANISATION,
        id_=ORGANISATION,
    )
    # Whoever tries the simulator's bounces out must not find the demonstration held by its brake.
    brake = {"complaints": 100.0, "hard_bounces": 100.0}
    server = {"name": "Main", "permalink": PERMALINK, "token": kept["server_token"], "brake": brake}
    create_server(
        ORGANISATION,
        {**server, "id": kept["server"]},
        actor=SEEDER,
        ports=ServerPorts(registrar, config.tracking_url),
    )
    webhook = {"name": "Simulator", "url": f"{config.simulator_url}/webhooks/demo"}
    registrar.create(
        WEBHOOK,
        f"server#{kept['server']}",
        webhook,
        actor=SEEDER,
        organisation=ORGANISATION,
        id_="demo",
    )


def _make_domain(
    config: StackConfig,
    kept: Secrets,
    settings: Settings,
    registrar: Registrar,
    keyring: KmsKeyring,
) -> None:
    """Make the domain whose records are in the local zone from the start, worded as Postal's."""
    dns = DnsRecords(DnsSettings((f"{LOOPBACK}:{config.ports.dns}",)))
    ports = DomainPorts(
        registrar=registrar,
        keyring=keyring,
        dns=dns,
        spf=PyspfChecker(dns),
        keys=CryptographyDkimKeys(),
        facts=DynamoServerFacts(bound(ServerFactRow, settings.resource("table", "mail"))),
        platform=settings.names,
        delay_divisor=settings.delay_divisor,
    )
    private = base64.b64decode(kept["dkim"]["key"])
    made = create_domain(
        f"server#{kept['server']}",
        ORGANISATION,
        {"name": FROM_DOMAIN},
        ports,
        actor=SEEDER,
        own_key=OwnKey(kept["dkim"]["selector"], private, from_postal=True),
        verified=True,
    )
    # Nobody has looked yet, but the record is there: the first mail uses it.
    registrar.update(DOMAIN, made, {**made.fields, "return_path_ok": True}, actor=SEEDER)


def _make_credentials(kept: Secrets, rows: DirectoryRows) -> None:
    server = ServerId(kept["server"])
    scopes = frozenset(map(str, SERVER_SCOPES))
    api = Credential("demo-api", server, "api", "Demo api", scopes=scopes)
    rows.put_credential(api, kept["api_key"])
    # The local host offers CRAM-MD5, and some clients insist on it once they see it.
    smtp = Credential("demo-smtp", server, "smtp", "Demo smtp", cram=True)
    rows.put_credential(smtp, kept["smtp_password"])


def _make_keys(kept: Secrets, rows: DirectoryRows, registrar: Registrar, now: float) -> None:
    digest = hashlib.sha256(kept["platform_key"].encode()).hexdigest()
    body = {"id": "demo-platform", "kind": "platform", "name": "Local platform", "scopes": [ALL]}
    registrar.registry.write([Change.put(Record(Place(f"credential#{digest}"), body))])
    rows.put_block_list((), ())
    for purpose, key in kept["platform"].items():
        public = public_pem(key["secret"]) if purpose == "webhook" else ""
        secret_octets = base64.b64decode(key["secret"])
        rows.put_key(purpose, key["kid"], secret_octets, created_at=now, public=public)
