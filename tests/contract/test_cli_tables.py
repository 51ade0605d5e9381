"""The commands of the tool that work on the tables themselves, with the real adapters."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_legacy_links import DynamoLegacyLinks
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.system import SystemClock
from mailroom.adapters.tables import DirectoryRow, bound
from tests.cli.tool import Tool
from tests.support.postal_rows import LINK, dump
from tests.support.snapshot import load

pytestmark = pytest.mark.emulator


@pytest.fixture
def tool(cloud, tmp_path):
    return Tool(tmp_path, **cloud.settings.resources, MAILROOM_ENVIRONMENT="test")


def test_a_platform_without_a_name_is_not_begun(tool):
    del tool.environment["MAILROOM_ENVIRONMENT"]
    assert tool.run("bootstrap", "--email", "root@example.com") == 2
    assert "MAILROOM_ENVIRONMENT" in tool.err


def keyring(cloud):
    return KmsKeyring(cloud.client("kms"), cloud.settings.resource("key", "secrets"))


def rows(cloud):
    return bound(DirectoryRow, cloud.settings.resource("table", "directory"))


def test_a_platform_begins_once(tool, cloud):
    made = tool.json("bootstrap", "--email", "root@example.com")
    assert made["platform_key"] != made["administrator_token"]
    directory = DynamoDirectory(rows(cloud), SystemClock(), keyring(cloud))
    for purpose in ("tracking", "verp", "token", "webhook"):
        assert len(directory.keys(purpose)) == 1
    load_pem_public_key(directory.current_key("webhook").public.encode())
    assert len(directory.current_key("verp").kid) == 1
    assert tool.run("bootstrap", "--email", "root@example.com") == 2
    assert "--again" in tool.err
    again = tool.json("bootstrap", "--again")
    assert again["platform_keys_made"] == []


def test_webhooks_go_on_being_signed_with_postals_key(tool, cloud, tmp_path):
    key = generate_private_key(65_537, 2048)
    file = tmp_path / "signing.key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL,
                                       NoEncryption()))  # fmt: skip
    made = tool.json("bootstrap", "--email", "root@example.com", "--signing-key", str(file))
    assert "webhook" not in made["platform_keys_made"]
    directory = DynamoDirectory(rows(cloud), SystemClock(), keyring(cloud))
    kept = load_pem_public_key(directory.current_key("webhook").public.encode())
    assert kept.public_numbers() == key.public_key().public_numbers()
    file.write_text("nonsense")
    assert tool.run("bootstrap", "--again", "--signing-key", str(file)) == 2


def test_a_migration_says_what_it_did_and_does_it_once(tool, cloud):
    settings = cloud.settings
    load("0.1", cloud.client("dynamodb"), lambda n: settings.resource("table", n),
         keyring(cloud).wrap)  # fmt: skip
    dry = tool.json("migrate", "--dry-run", "--parts", "2")
    assert [(row["migration"], row["would change"]) for row in dry[:1]] == [("resources", 12)]
    done = tool.json("migrate", "--parts", "2")
    assert [(row["migration"], row["changed"], row["failed"]) for row in done] == [
        ("resources", 12, 0), ("private", 1, 0), ("search", 7, 0), ("counters", 1, 0),
        ("sources", 0, 0),
    ]  # fmt: skip
    assert tool.json("migrate", "--parts", "2") == []
    assert tool.err.count("was done") == 5


def test_links_of_postal_are_put_where_the_tracking_host_looks(tool, cloud, tmp_path):
    file = tmp_path / "postal.sql"
    file.write_text(dump())
    nothing = {"data": [], "next_cursor": None}
    tool.platform.answers = [nothing for _ in range(50)]
    tool.run("import", "postal", str(file), "--links", "--links-until", "2099-01-01",
             "--no-suppressions", as_json=True)  # fmt: skip
    report = json.loads(tool.out)
    assert report["rows"] == [{"kind": "links", "taken": 1, "refused": 2}]
    links = DynamoLegacyLinks(rows(cloud), SystemClock())
    assert links.find("abc123", LINK[0]) == LINK[1]
    assert links.servers() == {"abc123"}
