"""The first hour of a platform, from the command line."""

import pytest

from cli.commands.bootstrap import another_key, first_hour
from cli.errors import UsageError
from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.registry import MemoryKeyring, MemoryRegistry
from mailroom.usecases.bootstrap import BootstrapPorts
from mailroom.usecases.identify import identify
from mailroom.usecases.registrar import Registrar
from tests.cli.tool import Tool


@pytest.fixture
def ports():
    registrar = Registrar(MemoryRegistry(), FixedClock(), FixedChance(), "test")
    return BootstrapPorts(registrar, MemoryKeyring(), CryptographyDkimKeys())


def who(secret, ports):
    registrar = ports.registrar
    return identify(
        secret, address="192.0.2.1", now=registrar.clock.now(), registry=registrar.registry,
        environment="test",
    )  # fmt: skip


def test_a_new_platform_gets_keys_an_administrator_and_a_platform_key(ports):
    made = first_hour("root@example.com", "Root", ports)
    assert set(made["platform_keys_made"]) >= {"tracking", "verp", "token", "webhook", "recipients"}
    assert who(made["platform_key"], ports).kind == "platform"
    assert who(made["administrator_token"], ports).is_administrator


def test_a_second_time_is_refused_unless_a_key_alone_is_wanted(ports):
    first = first_hour("root@example.com", "Root", ports)
    with pytest.raises(UsageError, match="--again"):
        first_hour("other@example.com", "Other", ports)
    again = another_key(ports)
    assert again["platform_keys_made"] == []
    assert again["platform_key"] != first["platform_key"]
    assert who(again["platform_key"], ports).kind == "platform"
    assert who(first["platform_key"], ports).kind == "platform"


def test_an_administrator_has_an_address(ports):
    with pytest.raises(UsageError, match="--email"):
        first_hour("root", "Root", ports)


def test_without_the_names_of_the_tables_the_tool_says_which(tool: Tool):
    assert tool.run("bootstrap", "--email", "root@example.com") == 2
    assert "MAILROOM_TABLE_DIRECTORY" in tool.err
