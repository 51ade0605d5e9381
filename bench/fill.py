"""`python -m bench.fill STATE`: makes what an emulator needs, or fills its ledger with mail.

Run with the variables of the emulator. `--make` makes tables, bucket, queues, keys and the
demonstration tenant, and with `--api-zip` the API function and its gateway; it prints the
addresses. `--messages N` accepts mail. No function consumes anything.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from localstack_client.session import Session

from bench.cloud import ADDRESSES, AS_DEPLOYED
from bench.sample import SAMPLE, message, sized
from egress.submission.wiring import accept_ports
from localstack.cloud.compute import make_functions, make_log_groups, make_roles
from localstack.cloud.gateway import make_apis
from localstack.cloud.messaging import make_queues
from localstack.cloud.scope import Options, Scope
from localstack.cloud.storage import make_buckets, make_keys, make_tables
from localstack.config import (
    FROM_DOMAIN,
    LOOPBACK,
    RECIPIENT_DOMAIN,
    REGION,
    StackConfig,
    read_config,
    read_json,
    write_json,
)
from localstack.naming import variable
from localstack.processes import common_variables
from localstack.resources import load_resources
from localstack.seed import seed
from localstack.tenant import make_secrets
from mailroom.adapters.clients import client
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.adapters.xray import tracing_of
from mailroom.domain.address import parse_address
from mailroom.domain.message import Credential, Server, ServerId
from mailroom.settings import Settings, load_settings
from mailroom.usecases.accept import Parcel, accept

_THREADS = 4


def make(config: StackConfig, api_zip: Path | None, runtime: str) -> dict[str, str]:
    """Make what a sender and a door need; return the addresses by `kind:name`, and the API's
    endpoint as `endpoint:api` if there is a zip for it.
    """
    session = Session(region_name=REGION)
    zips = {"api": api_zip} if api_zip else {}
    common = _as_deployed(config)
    options = Options(config.prefix, REGION, config.delay_divisor, 0, zips, runtime, common)
    account = session.client("sts").get_caller_identity()["Account"]
    resources = load_resources(config.root)
    only_api = replace(
        resources,
        functions={"api": resources.functions["api"]},
        apis={"api": resources.apis["api"]},
        mappings={},
        schedules={},
    )
    scope = Scope(session, only_api, options, account)
    for step in (make_keys, make_tables, make_buckets, make_queues):
        step(scope)
    if not api_zip:
        return scope.addresses
    for step in (make_roles, make_log_groups, make_functions):
        step(scope)
    return {**scope.addresses, "endpoint:api": make_apis(scope)["api"]}


def seed_tenant(config: StackConfig, settings: Settings) -> None:
    """Write the demonstration tenant, and let the loopback address send by SMTP-IP."""
    kept = make_secrets(config.path("secrets.json"))
    seed(config, kept, settings, time.time())
    credential = Credential("bench-network", ServerId(kept["server"]), "smtp-ip", "bench")
    _rows(settings).put_network(credential, LOOPBACK)


def fill(settings: Settings, server: Server, count: int, octets: int) -> None:
    """Accept `count` messages of the server, one recipient each."""
    ports = accept_ports(settings, tracing_of(settings))
    author = f"bench@{FROM_DOMAIN}"
    credential = Credential("bench", server.id, "smtp", "bench")

    def one(number: int) -> bool:
        recipient = parse_address(f"accept+{number}@{RECIPIENT_DOMAIN}")
        raw = message(author, number) if octets == SAMPLE else sized(octets, author)
        parcel = Parcel(server, credential, "smtp", author, (recipient,), raw)
        return accept(parcel, ports).handed_over

    with ThreadPoolExecutor(_THREADS) as pool:
        if not all(pool.map(one, range(count))):
            raise RuntimeError("the queue took not every wake-up")


def _as_deployed(config: StackConfig) -> dict[str, str]:
    return {**common_variables(config), **AS_DEPLOYED}


def _rows(settings: Settings) -> DirectoryRows:
    keyring = KmsKeyring(client("kms"), settings.resource("key", "secrets"))
    return DirectoryRows(bound(DirectoryRow, settings.resource("table", "directory")), keyring)


def _server(settings: Settings, id_: str, *, links: bool) -> Server:
    """Return the server, after switching the rewriting of its links off if asked to."""
    found = accept_ports(settings, tracing_of(settings)).directory.server(ServerId(id_))
    if found is None:
        raise LookupError(f"there is no server {id_}")
    if not links:
        found = replace(found, tracking=None)
        _rows(settings).put_server(found)
    return found


def _settings(
    config: StackConfig, environment: Mapping[str, str], addresses: Mapping[str, str]
) -> Settings:
    variables = {variable(place): address for place, address in addresses.items()}
    return load_settings({**environment, **variables, **_as_deployed(config)})


def _options(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.fill", description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--make", action="store_true")
    parser.add_argument("--api-zip", type=Path)
    parser.add_argument("--runtime", default="")
    parser.add_argument("--messages", type=int, default=0)
    parser.add_argument("--octets", type=int, default=SAMPLE)
    parser.add_argument("--no-links", dest="links", action="store_false")
    return parser.parse_args(arguments)


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Do what the arguments say."""
    options = _options(arguments)
    config = read_config(options.state)
    if options.make:
        addresses = make(config, options.api_zip, options.runtime)
        write_json(config.path(ADDRESSES), addresses)
        seed_tenant(config, _settings(config, environment, addresses))
        print(json.dumps(addresses))
    if options.messages:
        settings = _settings(config, environment, read_json(config.path(ADDRESSES)))
        kept = make_secrets(config.path("secrets.json"))
        server = _server(settings, kept["server"], links=options.links)
        fill(settings, server, options.messages, options.octets)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
