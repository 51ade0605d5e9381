"""Tenants of a test's own on a running stack, written as the seed writes the demonstration's."""

import json
import secrets
import string
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_relays import RelayRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.message import Credential, Server, ServerId, Tracking, Webhook
from tests.support.customer import Customer
from tests.support.stack import Stack

_BASE32 = string.ascii_lowercase + "234567"


@dataclass(frozen=True)
class Tenant:
    """A server with an API key, an SMTP password (CRAM-MD5 allowed) and a webhook."""

    server: Server
    organisation: str
    domain: str
    api_key: str
    smtp_password: str
    rows: DirectoryRows
    relays: RelayRows

    def on(self, customer: Customer) -> Customer:
        """Return a customer of the same stack that is this tenant."""
        mine = copy(customer)  # a new one would ask the stack for its status, which takes a process
        mine.status = {
            **customer.status,
            "api_key": self.api_key,
            "from_domain": self.domain,
            "smtp": {
                **customer.status["smtp"],
                "username": f"{self.organisation}/{self.server.permalink}",
                "password": self.smtp_password,
            },
        }
        mine.sender = f"hello@{self.domain}"
        return mine

    def change(self, **fields: Any) -> Server:
        """Write the server with other settings; processes see it within 60 seconds."""
        server = replace(self.server, **fields)
        self.rows.put_server(server)
        return server


Tenants = Callable[..., Tenant]


def tenants_of(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Tenants:
    """Return what makes tenants on `stack`; each keyword is a field of its server."""
    made = json.loads(Path(stack.state, "provisioned.json").read_text())["addresses"]
    status = stack.status
    for name, value in {
        "AWS_ENDPOINT_URL": status["emulator_url"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    keyring = KmsKeyring(boto3.Session(region_name="us-east-1").client("kms"), made["key:secrets"])
    model = bound(DirectoryRow, made["table:directory"])
    rows = DirectoryRows(model, keyring)

    def make(*, hold: bool = False, **fields: Any) -> Tenant:
        name = "".join(secrets.choice(_BASE32) for _ in range(10))
        organisation, domain = f"org-{name}", f"{name}.test"
        server = Server(
            id=ServerId(name),
            organisation=organisation,
            name="Test",
            permalink="main",
            token="".join(secrets.choice(string.ascii_lowercase) for _ in range(6)),
            tracking=Tracking(status["tracking_url"]),
            complaint_limit=1.0,  # tests bounce more than a brake would bear
            bounce_limit=1.0,
        )
        tenant = Tenant(
            replace(server, **fields),
            organisation,
            domain,
            secrets.token_hex(16),
            secrets.token_hex(16),
            rows,
            RelayRows(model, keyring, networks=("127.0.0.0/25",)),
        )
        _write(tenant, hold, f"{status['simulator_url']}/webhooks/{name}")
        return tenant

    return make


def _write(tenant: Tenant, hold: bool, webhook: str) -> None:
    server, rows = tenant.server, tenant.rows
    rows.put_server(server)
    rows.put_login(tenant.organisation, server)
    rows.put_credential(
        Credential(f"{server.id}-api", server.id, "api", "API", hold=hold), tenant.api_key
    )
    rows.put_credential(
        Credential(f"{server.id}-smtp", server.id, "smtp", "SMTP", hold=hold, cram=True),
        tenant.smtp_password,
    )
    rows.put_domain(
        tenant.domain,
        f"server#{server.id}",
        selector="test",
        private_key=_private_key(),
        verified=True,
        return_path_ok=True,
    )
    rows.put_webhook(Webhook(f"hook-{server.id}", server.id, webhook))


@cache  # no test asks whose key it is, and making one takes a while
def _private_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
