"""The Terraform code, applied by the real provider to the emulator: the same as the provisioner's
result, works, plans clean, and goes away again.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localstack.builds import build_all, runtime, write_manifest
from localstack.cloud.scope import Options
from localstack.config import FROM_DOMAIN, Ports, StackConfig
from localstack.naming import variable
from localstack.processes import cloud_variables, common_variables
from localstack.provision import provision
from localstack.resources import load_resources
from localstack.seed import seed
from localstack.tenant import make_secrets
from mailroom.settings import load_settings
from tests.support.emulator import ROOT, Emulator, running_emulator
from tests.support.inventory import inventory

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]

RESOURCES = load_resources(ROOT)
PLUGINS = "MAILROOM_TERRAFORM_PLUGINS"
USUAL_FOLDERS = (
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt",
)
PROVIDER = "registry.terraform.io/hashicorp/aws"


def plugin_folder() -> Path | None:
    """The folder that has the AWS provider: named by a variable, or in a usual place."""
    named = os.environ.get(PLUGINS)
    if named:
        return Path(named)
    for folder in (Path(name).expanduser() for name in USUAL_FOLDERS):
        for depth in ("", "*/"):
            for found in folder.glob(depth + PROVIDER):
                return found.parent.parent.parent
    return None


@dataclass(frozen=True)
class Workspace:
    """A copy of `infra/`, so that no state and no plug-in link gets into the checkout."""

    folder: Path
    variables: dict[str, str]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    def output(self, name: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.run("output", "-json", name))
        return found


@dataclass(frozen=True)
class Deployment:
    emulator: Emulator
    config: StackConfig
    workspace: Workspace


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    plugins = plugin_folder()
    if shutil.which("terraform") is None or plugins is None:
        pytest.skip(f"needs terraform and its AWS provider ({PLUGINS} may name the folder)")
    state = tmp_path_factory.mktemp("state")
    with running_emulator(state) as emulator:
        config = StackConfig(ROOT, state, Ports(emulator=emulator.port))
        folder = tmp_path_factory.mktemp("work") / "infra"
        shutil.copytree(ROOT / "infra", folder, ignore=shutil.ignore_patterns(".terraform*"))
        zips = build_all(ROOT, config.builds, RESOURCES, dict(os.environ))
        workspace = Workspace(
            folder / "terraform", variables_of(config, write_manifest(state, zips))
        )
        workspace.run("init", "-input=false", f"-plugin-dir={plugins}")
        workspace.run("apply", "-auto-approve", "-input=false", "-parallelism=20")
        yield Deployment(emulator, config, workspace)


def variables_of(config: StackConfig, manifest: Path) -> dict[str, str]:
    common = common_variables(config)
    wanted = {
        "prefix": config.prefix,
        "endpoint": config.emulator_url,
        "zips_file": str(manifest),
        "mapping_concurrency": "2",
    }
    wanted |= {name.removeprefix("MAILROOM_").lower(): value for name, value in common.items()}
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(config.state),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
        **cloud_variables(config),
        **{f"TF_VAR_{name}": value for name, value in wanted.items()},
    }


def test_the_code_is_formatted() -> None:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    command = ["terraform", "fmt", "-check", "-recursive", str(ROOT / "infra" / "terraform")]
    assert subprocess.run(command, capture_output=True, text=True).stdout == ""


def test_it_makes_a_working_platform_like_the_provisioners_and_removes_it(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One test, because the order matters and an apply takes minutes.
    compare(deployment, tmp_path)
    send(deployment, monkeypatch, tmp_path / "secrets.json")
    # With -detailed-exitcode 0 means "no changes" and 2 means changes.
    deployment.workspace.run("plan", "-input=false", "-detailed-exitcode")
    deployment.workspace.run("destroy", "-auto-approve", "-input=false", "-parallelism=20")
    left = inventory(deployment.emulator.session("test"))
    assert {part for part, content in left.items() if content} == set()


def compare(deployment: Deployment, folder: Path) -> None:
    """The provisioner, on an emulator of its own, makes the same."""
    options = Options(
        prefix=deployment.config.prefix,
        region="us-east-1",
        delay_divisor=deployment.config.delay_divisor,
        concurrency=2,
        zips=build_all(ROOT, deployment.config.builds, RESOURCES, dict(os.environ)),
        runtime=runtime(),
        common=common_variables(deployment.config),
    )
    with running_emulator(folder) as other:
        provision(other.session("test"), RESOURCES, options)
        ours = inventory(other.session("test"))
    theirs = inventory(deployment.emulator.session("test"))
    for part in ours:
        assert ours[part], f"no {part} to compare"
        assert theirs[part] == ours[part], part


def send(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, secrets: Path) -> None:
    """A message goes through the deployed API."""
    for name, value in cloud_variables(deployment.config).items():
        monkeypatch.setenv(name, value)
    addresses = deployment.workspace.output("addresses")
    variables = {variable(place): address for place, address in addresses.items()}
    kept = make_secrets(secrets)
    seed(deployment.config, kept, load_settings(variables), time.time())
    answer = call(
        deployment,
        "/api/v1/send/message",
        {
            "from": f"hello@{FROM_DOMAIN}",
            "to": ["accept+terraform@sim.test"],
            "subject": "From Terraform",
            "plain_body": "It works.",
        },
        kept["api_key"],
    )
    assert answer["status"] == "success"
    assert "accept+terraform@sim.test" in answer["data"]["messages"]


def call(deployment: Deployment, path: str, body: object, key: str) -> dict[str, Any]:
    endpoint = deployment.workspace.output("endpoints")["api"]
    request = urllib.request.Request(
        deployment.emulator.url + path,
        data=json.dumps(body).encode(),
        headers={
            "Host": endpoint.split("//")[1],
            "Content-Type": "application/json",
            "X-Server-API-Key": key,
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
