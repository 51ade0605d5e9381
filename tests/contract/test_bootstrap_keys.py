"""The platform keys that a bootstrap makes are those that the processes read."""

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_public_key,
)

from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.errors import AlreadyExistsError
from mailroom.usecases.bootstrap import SYMMETRIC, BootstrapPorts, bootstrap
from mailroom.usecases.identify import identify
from mailroom.usecases.registrar import Registrar

pytestmark = pytest.mark.emulator


def test_what_was_bootstrapped_is_what_runs(cloud) -> None:
    rows = bound(DirectoryRow, cloud.settings.resource("table", "directory"))
    keyring = KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))
    registrar = Registrar(DynamoRegistry(rows), SystemClock(), SystemChance(), "test")
    ports = BootstrapPorts(registrar, keyring, CryptographyDkimKeys())
    made = bootstrap("root@people.test", "Root", ports)
    directory = DynamoDirectory(rows, SystemClock(), keyring)
    kids = {purpose: directory.current_key(purpose).kid for purpose in (*SYMMETRIC, "webhook")}
    assert set(made.made) == set(kids)
    assert {purpose: len(kid) for purpose, kid in kids.items()} == {
        "tracking": 6, "verp": 1, "token": 6, "recipients": 6, "webhook": 6
    }  # fmt: skip
    assert len({directory.current_key(purpose).secret for purpose in SYMMETRIC}) == len(SYMMETRIC)
    assert all(len(directory.current_key(purpose).secret) == 32 for purpose in SYMMETRIC)
    signing = directory.current_key("webhook")
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    private = load_der_private_key(signing.secret, None)
    public = load_pem_public_key(signing.public.encode())
    assert private.public_key().public_bytes(*form) == public.public_bytes(*form)
    for secret in (made.token, made.key):
        who = identify(
            secret,
            address="192.0.2.1",
            now=SystemClock().now(),
            registry=registrar.registry,
            environment="test",
        )
        assert "*" in who.scopes
    with pytest.raises(AlreadyExistsError):
        bootstrap("other@people.test", "Other", ports)
    after = DynamoDirectory(rows, SystemClock(), keyring)
    assert {purpose: after.current_key(purpose).kid for purpose in kids} == kids
