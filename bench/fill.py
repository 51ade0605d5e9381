"""`python -m bench.fill STATE COUNT`: a ledger full of accepted mail and nobody to send it yet.

Run with the variables of the emulator; prints the addresses of what it made. Tables, bucket,
queues and keys only: no function consumes anything, so what is measured is the sender.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localstack_client.session import Session

from bench.sample import message
from egress.submission.wiring import accept_ports
from localstack.cloud.messaging import make_queues
from localstack.cloud.scope import Options, Scope
from localstack.cloud.storage import make_buckets, make_keys, make_tables
from localstack.config import (
    FROM_DOMAIN,
    RECIPIENT_DOMAIN,
    REGION,
    StackConfig,
    read_config,
)
from localstack.naming import variable
from localstack.processes import common_variables
from localstack.resources import load_resources
from localstack.seed import seed
from localstack.tenant import make_secrets
from mailroom.domain.address import parse_address
from mailroom.domain.message import Credential, ServerId
from mailroom.settings import Settings, load_settings
from mailroom.usecases.accept import Parcel, accept

_THREADS = 4


def make(config: StackConfig) -> dict[str, str]:
    """Make what a sender and a door need; return the addresses by `kind:name`."""
    session = Session(region_name=REGION)
    options = Options(config.prefix, REGION, config.delay_divisor, 0, {}, "", {})
    account = session.client("sts").get_caller_identity()["Account"]
    scope = Scope(session, load_resources(config.root), options, account)
    for step in (make_keys, make_tables, make_buckets, make_queues):
        step(scope)
    return scope.addresses


def fill(settings: Settings, server: str, count: int) -> None:
    """Accept `count` messages of the server, one recipient each."""
    ports = accept_ports(settings)
    found = ports.directory.server(ServerId(server))
    if found is None:
        raise LookupError(f"there is no server {server}")
    author = f"bench@{FROM_DOMAIN}"
    credential = Credential("bench", found.id, "smtp", "bench")

    def one(number: int) -> bool:
        recipient = parse_address(f"accept+{number}@{RECIPIENT_DOMAIN}")
        raw = message(author, number)
        parcel = Parcel(found, credential, "smtp", author, (recipient,), raw)
        return accept(parcel, ports).handed_over

    with ThreadPoolExecutor(_THREADS) as pool:
        if not all(pool.map(one, range(count))):
            raise RuntimeError("the queue took not every wake-up")


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Make, seed, fill, and print the addresses as JSON."""
    config, count = read_config(Path(arguments[0])), int(arguments[1])
    addresses = make(config)
    variables = {variable(place): address for place, address in addresses.items()}
    settings = load_settings({**environment, **variables, **common_variables(config)})
    kept = make_secrets(config.path("secrets.json"))
    seed(config, kept, settings, time.time())
    fill(settings, kept["server"], count)
    print(json.dumps(addresses))


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
