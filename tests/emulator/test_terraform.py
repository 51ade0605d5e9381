"""The Terraform code, applied by the real provider to the emulator: the same as the provisioner's
result, works, plans clean, survives its own half-made applies, and goes away again.
"""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
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
from tests.support.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.support.inventory import inventory
from tests.support.terraform import PATIENCE, Workspace, workspace

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]

RESOURCES = load_resources(ROOT)
EARLY = ("CreateKey", "CreateTable", "CreateRole", "CreateLogGroup", "CreateTopic", "POST /v2/apis")


@dataclass(frozen=True)
class Cloud:
    """An emulator behind a proxy, and the variables of what is deployed on it."""

    emulator: Emulator
    proxy: FaultProxy
    config: StackConfig
    zips: Mapping[str, Path]
    variables: dict[str, str]

    def left(self) -> set[str]:
        """What kinds of resources there are."""
        return {part for part, content in self.inventory().items() if content}

    def inventory(self) -> dict[str, Any]:
        return inventory(self.emulator.session("test"))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if shutil.which("terraform") is None:
        pytest.skip("needs terraform")
    state = tmp_path_factory.mktemp("state")
    with running_emulator(state) as emulator, fault_proxy(emulator.port) as proxy:
        config = StackConfig(ROOT, state, Ports(emulator=emulator.port))
        zips = build_all(ROOT, config.builds, RESOURCES, dict(os.environ))
        variables = variables_of(config, write_manifest(state, zips))
        yield Cloud(emulator, proxy, config, zips, {**variables, "AWS_ENDPOINT_URL": proxy.url})


def variables_of(config: StackConfig, manifest: Path) -> dict[str, str]:
    common = common_variables(config)
    wanted = {
        "prefix": config.prefix,
        "endpoint": config.emulator_url,
        "zips_file": str(manifest),
        "mapping_concurrency": "2",
    }
    wanted |= {
        name.removeprefix("MAILROOM_").removeprefix("AWS_").lower(): value
        for name, value in common.items()
    }
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


def test_what_the_emulator_does_not_get_is_planned_for_aws(cloud: Cloud, tmp_path: Path) -> None:
    terraform = workspace(tmp_path, {**cloud.variables, "TF_VAR_endpoint": ""})
    terraform.run("plan", "-input=false", "-out=aws.plan")
    changes = json.loads(terraform.run("show", "-json", "aws.plan"))["resource_changes"]
    planned = [(change["type"], change["change"]["after"]) for change in changes]
    alarms = [after for kind, after in planned if kind == "aws_cloudwatch_metric_alarm"]
    assert {(alarm["metric_name"], alarm["threshold"]) for alarm in alarms} == {
        ("ApproximateNumberOfMessagesVisible", 0)
    }
    assert len(alarms) == len(RESOURCES.queues)
    tables = [after for kind, after in planned if kind == "aws_dynamodb_table"]
    assert len(tables) == len(RESOURCES.tables)
    assert all(table["deletion_protection_enabled"] for table in tables)
    assert all(table["point_in_time_recovery"][0]["enabled"] for table in tables)
    assert not any(after["force_destroy"] for kind, after in planned if kind == "aws_s3_bucket")


def test_an_interrupted_apply_can_be_taken_away(cloud: Cloud, tmp_path: Path) -> None:
    terraform = workspace(tmp_path, cloud.variables)
    # Asked to stop, the provider gives up the calls under way, whether or not they are done.
    cloud.proxy.spoil(dict.fromkeys(EARLY, Fault.HELD))
    running = terraform.starting()
    try:
        cloud.proxy.wait(PATIENCE)
        running.interrupt()
    finally:
        cloud.proxy.release()
        printed = running.end()
    assert "context canceled" in printed
    lost = terraform.adopt()
    assert 'aws_kms_key.this["secrets"]' in lost
    terraform.apply(*(f"-target={address}" for address in lost))
    terraform.forget_adoption()
    terraform.destroy()
    assert cloud.left() == set()


def test_a_killed_apply_and_a_half_failed_one_end_as_the_provisioner_does(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One test, because the order matters and an apply takes minutes.
    terraform = workspace(tmp_path, cloud.variables)
    kill_early(cloud, terraform)
    fail_late(cloud, terraform)
    terraform.apply()
    terraform.forget_adoption()
    # With -detailed-exitcode 0 means "no changes" and 2 means changes.
    terraform.run("plan", "-input=false", "-detailed-exitcode")
    compare(cloud, tmp_path)
    send(cloud, terraform, monkeypatch, tmp_path / "secrets.json")
    assert "0 added, 0 changed, 0 destroyed" in terraform.apply()
    fail_destroy(cloud, terraform)
    terraform.destroy()
    assert cloud.left() == set()


def kill_early(cloud: Cloud, terraform: Workspace) -> None:
    """The first of every kind is made, and terraform dies before it has the reply."""
    cloud.proxy.spoil(dict.fromkeys(EARLY, Fault.HELD))
    running = terraform.starting()
    try:
        cloud.proxy.wait(PATIENCE)
    finally:
        running.kill()
        cloud.proxy.release()
    lost = {kind for address in terraform.adopt() for kind in re.findall(r"(aws_\w+)\.", address)}
    assert lost >= {
        "aws_kms_key",
        "aws_dynamodb_table",
        "aws_iam_role",
        "aws_cloudwatch_log_group",
        "aws_sns_topic",
        "aws_apigatewayv2_api",
    }


def fail_late(cloud: Cloud, terraform: Workspace) -> None:
    """One call breaks and is repeated, the reply of one is lost, one is forbidden."""
    cloud.proxy.spoil(
        {
            f"POST /functions {cloud.config.prefix}-publisher": Fault.REFUSED,
            "CreateAlias": Fault.LOST,
            "POST /event-source-mappings": Fault.DENIED,
        }
    )
    terraform.apply(exit_code=1)
    cloud.proxy.wait(0)
    assert terraform.adopt() == {'aws_kms_alias.this["secrets"]'}


def fail_destroy(cloud: Cloud, terraform: Workspace) -> None:
    """A table stays because its removal was forbidden once."""
    cloud.proxy.spoil({"DeleteTable": Fault.DENIED, "DeleteRole": Fault.LOST})
    terraform.destroy(exit_code=1)
    cloud.proxy.wait(0)
    assert "tables" in cloud.left()


def compare(cloud: Cloud, folder: Path) -> None:
    """The provisioner, on an emulator of its own, makes the same; so nothing is there twice."""
    options = Options(
        prefix=cloud.config.prefix,
        region="us-east-1",
        delay_divisor=cloud.config.delay_divisor,
        concurrency=2,
        zips=cloud.zips,
        runtime=runtime(),
        common=common_variables(cloud.config),
    )
    other_folder = folder / "other"
    other_folder.mkdir()
    with running_emulator(other_folder) as other:
        provision(other.session("test"), RESOURCES, options)
        ours = inventory(other.session("test"))
    theirs = cloud.inventory()
    for part in ours:
        assert ours[part], f"no {part} to compare"
        assert theirs[part] == ours[part], part


def send(
    cloud: Cloud, terraform: Workspace, monkeypatch: pytest.MonkeyPatch, secrets: Path
) -> None:
    """A message goes through the deployed API."""
    for name, value in cloud_variables(cloud.config).items():
        monkeypatch.setenv(name, value)
    addresses = terraform.output("addresses")
    variables = {variable(place): address for place, address in addresses.items()}
    kept = make_secrets(secrets)
    seed(cloud.config, kept, load_settings(variables), time.time())
    answer = call(
        cloud.emulator,
        terraform.output("endpoints")["api"],
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


def call(emulator: Emulator, endpoint: str, body: object, key: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{emulator.url}/api/v1/send/message",
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
