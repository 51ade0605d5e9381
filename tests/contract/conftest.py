"""A cloud of the test's own: the real resources in a fresh account of the session's emulator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from localstack.cloud.messaging import make_queues
from localstack.cloud.scope import Options, Scope
from localstack.cloud.storage import make_buckets, make_keys, make_tables
from localstack.naming import variable
from localstack.resources import load_resources
from mailroom.settings import Settings, load_settings
from tests.support.emulator import ROOT, Emulator


@dataclass(frozen=True)
class Cloud:
    """Names of the resources, and plain clients that find them by the environment alone."""

    settings: Settings
    client: Callable[[str], Any]


@pytest.fixture
def cloud(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    account = emulator.new_account()
    for name, value in {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    # boto3 remembers the account of the test before this one otherwise.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    options = Options(
        prefix=f"c{account}",
        region="us-east-1",
        delay_divisor=1.0,
        concurrency=0,
        zips={},
        runtime="",
        common={},
    )
    scope = Scope(emulator.session(account), load_resources(ROOT), options, account)
    for step in (make_keys, make_tables, make_buckets, make_queues):
        step(scope)
    variables = {variable(place): address for place, address in scope.addresses.items()}
    return Cloud(load_settings(variables), boto3.Session(region_name="us-east-1").client)
