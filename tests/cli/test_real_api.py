"""The tool against the API itself, in memory: every operation is a command, and a first hour."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from mail_api.v2.table import OPERATIONS

from cli.app import build
from cli.client import Client, Patience
from cli.openapi import read_operations
from cli.profile import Profile
from cli.session import Session
from tests.cli.tool import Tool
from tests.support.management import Management


class RealTool(Tool):
    """The tool with a platform in memory behind it."""

    def __init__(self, folder: Path) -> None:
        self.management = Management()
        profile = Profile(url="https://api.example", key=self.management.root)
        super().__init__(folder, profile=profile)

    def connect(self, url: str, key: str) -> Client:
        http = httpx.Client(base_url=url, transport=httpx.MockTransport(self._answer))
        return Client(http, key, Patience(self.wait), lambda: str(uuid.uuid4()))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        told = self.management.ask(
            request.method,
            request.url.path.removeprefix("/api/v2"),
            request.content.decode() or None,
            query=request.url.query.decode(),
            headers={k: v for k, v in request.headers.items() if k != "content-type"},
        )
        return httpx.Response(told.status, text=told.text, headers=told.headers)


@pytest.fixture
def tool(tmp_path: Path) -> RealTool:
    return RealTool(tmp_path)


def document(tool: RealTool) -> Any:
    return tool.connect(tool.profile.url, tool.profile.key).call(
        "GET", "/api/v2/openapi.json"
    ).body  # fmt: skip


def test_every_operation_is_a_command_of_its_own(tool: RealTool) -> None:
    operations = read_operations(document(tool))
    assert len(operations) == len(OPERATIONS)
    assert len({(o.group, o.name) for o in operations}) == len(operations)


def test_the_whole_tree_can_be_built_and_helps(tool: RealTool, capsys) -> None:
    assert tool.run("servers", "list", "--help") == 0
    assert "--organisation" in capsys.readouterr().out
    assert tool.run("domains", "create", "--help") == 0
    assert "--key" in capsys.readouterr().out
    assert tool.run("--help") == 0
    listed = capsys.readouterr().out
    for group in ("organisations", "servers", "domains", "credentials", "webhooks", "suppressions"):
        assert group in listed


def test_a_first_hour_from_the_command_line(tool: RealTool) -> None:
    organisation = tool.json("organisations", "create", "--name", "Acme")["id"]
    server = tool.json(
        "servers", "create", "--organisation", organisation, "--name", "Main",
        "--set", "limits.hour=100", "--mode", "sandbox",
    )  # fmt: skip
    assert (server["limits"]["hour"], server["mode"]) == (100, "sandbox")
    where = ("--server", server["id"])
    domain = tool.json("domains", "create", *where, "--name", "acme.example", "--verified")
    assert tool.run("domains", "check", "acme.example", *where) == 4  # nothing is published
    assert "dkim missing" in tool.err
    key = tool.json("credentials", "create", *where, "--type", "API", "--name", "App")
    assert key["secret"]
    assert tool.run("credentials", "list", *where) == 0
    assert key["secret"] not in tool.out
    assert tool.json("domains", "update", domain["id"], *where, "--receives")["receives"]
    renamed = tool.json("servers", "update", server["id"], "--name", "Other", "--if-match", '"1"')
    assert renamed["name"] == "Other"
    assert tool.run("servers", "update", server["id"], "--name", "X", "--if-match", '"1"') == 1
    assert "changed_meanwhile (412)" in tool.err
    assert tool.run("servers", "create", "--organisation", organisation) == 1
    assert "  name:" in tool.err
    assert tool.run("servers", "suspend", server["id"], "--reason", "late", quiet=True) == 0
    assert tool.run("servers", "delete", server["id"], "--yes") == 0
    assert tool.run("servers", "read", server["id"]) == 1
    assert "not_found (404)" in tool.err


def test_a_shell_that_completes_asks_nobody(tool: RealTool) -> None:
    tool.store.keep(tool.profile.url, document(tool))
    tool.connect = None  # type: ignore[method-assign]  # whoever asks fails
    session = Session(
        tool.profile, printer=None, connect=None, store=tool.store, now=None, wait=None,  # type: ignore[arg-type]
    )  # fmt: skip
    app = build(session, ["servers"], offline=True)
    group: Any = typer.main.get_command(app)
    assert "create" in group.commands["servers"].commands
