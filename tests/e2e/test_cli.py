"""The command line tool as a process of its own on a running stack: answers and exit codes."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localstack.config import ENVIRONMENT
from localstack.naming import variable
from tests.support.api_tenant import Api, ApiServer, ApiTenant

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]
REFUSED, USAGE, NOT_WELL = 1, 2, 4


class Tool:
    """The tool with a configuration of its own, and what the test says of the environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "MAILROOM_CONFIG": str(folder / "config.toml"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            **environment,
        }

    def __call__(self, *arguments: str, text: str = "", **environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            input=text,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def json(self, *arguments: str, text: str = "", code: int = 0) -> Any:
        """What a command that ends with `code` answers as JSON."""
        ended, answer, remarks = self(*arguments, "--json", text=text)
        assert ended == code, (arguments, answer, remarks)
        return json.loads(answer)


@pytest.fixture(scope="session")
def server(api_tenant: ApiTenant) -> ApiServer:
    return api_tenant.server("Tool")


@pytest.fixture
def tool(tmp_path: Path, server: ApiServer) -> Tool:
    """The owner's, whose server is the test's."""
    owner = server.owner
    return Tool(
        tmp_path, MAILROOM_URL=owner.url, MAILROOM_API_KEY=owner.key, MAILROOM_SERVER=server.id
    )


@pytest.fixture
def insider(tmp_path: Path, server: ApiServer) -> Tool:
    """That of whoever has the AWS account."""
    status = server.customer.status
    made = json.loads(Path(status["state_dir"], "provisioned.json").read_text())["addresses"]
    return Tool(
        tmp_path,
        **{variable(place): address for place, address in made.items()},
        MAILROOM_ENVIRONMENT=ENVIRONMENT,
        AWS_ENDPOINT_URL=status["emulator_url"],
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )


def test_mail_is_sent_and_seen(tool: Tool, server: ApiServer, api_tenant: ApiTenant) -> None:
    assert tool.json("me", "read")["organisation"] == api_tenant.organisation
    (organisation,) = tool.json("organisations", "list")["data"]
    assert organisation["id"] == api_tenant.organisation

    to, subject = f"accept+{secrets.token_hex(6)}@sim.test", f"By hand {secrets.token_hex(3)}"
    said = ("--from", server.address, "--to", to, "--subject", subject, "--text", "-")
    (sent,) = tool.json("send", *said, text="Good day.\n")["messages"]
    assert sent["recipient"] == to
    mail = server.arrived(to)
    assert (mail["subject"], mail["text"].strip(), mail["dkim"]) == (subject, "Good day.", "pass")

    code, shown, _ = tool("messages", "tail", "--lines", "5", "--no-follow")
    assert (code, subject in shown, to in shown) == (0, True, True)
    found = tool.json("messages", "list", "--recipient", to)["data"]
    assert [each["id"] for each in found] == [sent["id"]]


def test_new_messages_are_tailed_until_somebody_has_enough(tool: Tool, server: ApiServer) -> None:
    subject = f"Tailed {secrets.token_hex(3)}"
    command = [sys.executable, "-m", "cli", "messages", "tail", "--every", "1", "--json"]
    with subprocess.Popen(command, env=tool.environment, stdout=subprocess.PIPE, text=True) as tail:
        try:
            server.send([f"accept+{secrets.token_hex(6)}@sim.test"], subject=subject)
            assert tail.stdout is not None
            line = next(each for each in tail.stdout if subject in each)
        finally:
            tail.terminate()
    assert json.loads(line)["subject"] == subject


def test_domains_and_suppressions_are_asked_for(tool: Tool, api_tenant: ApiTenant) -> None:
    where = ("--organisation", api_tenant.organisation)
    checked = tool.json("domains", "check", api_tenant.domain, *where)
    assert checked["state"] == "ok"
    unfinished = f"{secrets.token_hex(4)}.mailroom.test"
    tool.json("domains", "create", "--name", unfinished)
    assert tool.json("domains", "check", unfinished, code=NOT_WELL)["state"] != "ok"

    address = f"accept+{secrets.token_hex(6)}@sim.test"
    made = tool.json("suppressions", "create", "--address", address, "--reason", "complaint")
    assert (made["address"], made["reason"]) == (address, "complaint")
    code, table, _ = tool("suppressions", "list")
    assert (code, address in table) == (0, True)
    assert tool("suppressions", "delete", address, "--yes")[0] == 0
    code, _, said = tool("suppressions", "read", address)
    assert (code, "not_found (404)" in said) == (REFUSED, True)


def test_what_cannot_be_done_has_its_exit_code(tool: Tool) -> None:
    assert tool("me", "read", MAILROOM_API_KEY="mrk_x")[0] == REFUSED
    assert tool("me", "no-such")[0] == USAGE
    said = ("send", "--from", "a@b.test", "--to", "c@d.test", "--text", "x")
    assert tool(*said, MAILROOM_API_KEY="")[0] == USAGE
    code, _, refusal = tool(*said)
    assert (code, "from: " in refusal) == (REFUSED, True)


def test_a_platform_is_begun_once_and_migrated_at_will(insider: Tool, server: ApiServer) -> None:
    platform = Api(server.owner.url, server.customer.status["platform_key"])
    root = {"email": f"root-{secrets.token_hex(4)}@sim.test", "name": "R", "administrator": True}
    platform("POST", "/users", root)
    code, _, said = insider("bootstrap", "--email", "second@sim.test")
    assert (code, "--again" in said) == (USAGE, True), said
    again = insider.json("bootstrap", "--again")
    assert again["platform_keys_made"] == []
    another = Api(platform.url, again["platform_key"])
    assert another.get("/me")["kind"] == "platform"
    platform("DELETE", f"/keys/{again['id']}")
    assert another.ask("GET", "/me").status == 401
    works = insider.json("migrate", "--dry-run")
    assert {work["failed"] for work in works} == {0}, works
    code, _, said = insider("migrate", "--dry-run", MAILROOM_TABLE_MAIL="")
    assert (code, "MAILROOM_TABLE_MAIL is not set" in said) == (USAGE, True), said
