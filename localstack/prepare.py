"""`python -m localstack.prepare --state DIR`: the zips, the cloud resources and the demo tenant.

A process of its own, so the supervisor stays small and Ctrl-C ends it at any point.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from localstack_client.session import Session

from localstack.builds import BuildError, build_all, runtime
from localstack.cloud.scope import Options
from localstack.config import REGION, StackConfig, read_config, write_json
from localstack.naming import variable
from localstack.processes import common_variables
from localstack.provision import Provisioned, provision
from localstack.resources import ResourcesError, load_resources
from localstack.seed import seed
from localstack.tenant import make_secrets
from mailroom.settings import load_settings

CONCURRENCY = 2  # batches a queue's function works on at once; AWS allows no smaller number


def prepare(config: StackConfig, environment: Mapping[str, str]) -> None:
    """Bring a fresh emulator to the state in which the host processes can start.

    Raises BuildError, ResourcesError, ClientError.
    """
    resources = load_resources(config.root)
    say("building the functions (a minute the first time) ...")
    zips = build_all(config.root, config.builds, resources, environment)
    options = Options(
        prefix=config.prefix,
        region=REGION,
        delay_divisor=config.delay_divisor,
        concurrency=CONCURRENCY,
        zips=zips,
        runtime=runtime(),
        common=common_variables(config),
    )
    say("making the cloud resources ...")
    made = provision(session(config), resources, options)
    write_json(
        config.path("provisioned.json"),
        {"addresses": made.addresses, "endpoints": made.endpoints, "functions": made.functions},
    )
    say("writing the demo tenant ...")
    sow(config, made)


def session(config: StackConfig) -> Session:
    """Return clients of the stack's emulator, whatever else the shell points to."""
    return Session(
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - the emulator asks for one and checks none
        aws_session_token=None,
        region_name=REGION,
    )


def sow(config: StackConfig, made: Provisioned) -> None:
    """Write the demo tenant into the tables that were made."""
    kept = make_secrets(config.path("secrets.json"))
    variables = {variable(place): address for place, address in made.addresses.items()}
    seed(config, kept, load_settings({**variables, **common_variables(config)}), time.time())


def say(line: str) -> None:
    """Show progress."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Prepare the stack in `--state`; 1 with a reason when that fails."""
    parser = argparse.ArgumentParser(prog="python -m localstack.prepare", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        prepare(read_config(options.state), environment)
    except (BuildError, ResourcesError, ClientError, BotoCoreError) as problem:
        say(f"error: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
