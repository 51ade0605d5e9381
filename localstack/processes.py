"""The processes of a local stack: what each is called, started with, and ready by."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localstack.config import (
    EHLO_NAME,
    ENVIRONMENT,
    LOOPBACK,
    MAX_MESSAGE_MB,
    MX_HOSTS,
    PLATFORM_DOMAIN,
    REGION,
    RETURN_PATH_DOMAIN,
    SMTP_HOSTNAME,
    StackConfig,
)
from localstack.naming import environment
from localstack.ports import speaks_ipv6
from localstack.resources import Resources

EMULATOR = "emulator"
SENDER = "sender"
HOSTAPI = "hostapi"  # the host process that is no part of `egress`
PROXY = "MAILROOM_ENDPOINT_PROXY"  # see `_detour`
VERIFY = "MAILROOM_SIMULATOR_VERIFY"  # when the simulator verifies DKIM: "receipt" or "view"


@dataclass(frozen=True, slots=True)
class Program:
    """A process to keep running. It is ready when `ready_url` answers or, without one, when
    `ready_file` exists. A `vital` one is not restarted: with it the stack is gone.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready_file: Path
    ready_url: str = ""
    vital: bool = False
    grace: float = 5.0  # seconds between TERM and KILL


def common_variables(config: StackConfig) -> dict[str, str]:
    """Return the variables that every function and host process gets."""
    return {
        "MAILROOM_DELAY_DIVISOR": f"{config.delay_divisor:g}",
        "MAILROOM_RETURN_PATH_DOMAIN": RETURN_PATH_DOMAIN,
        "MAILROOM_SMTP_HOSTNAME": SMTP_HOSTNAME,
        "MAILROOM_WEB_HOSTNAME": PLATFORM_DOMAIN,
        "MAILROOM_MAX_MESSAGE_MB": str(MAX_MESSAGE_MB),
        "MAILROOM_LARGE_API_URL": config.api_large_url,
        "MAILROOM_ENVIRONMENT": ENVIRONMENT,
        "MAILROOM_TRACKING_URL": config.tracking_url,
        "MAILROOM_TRACKING_DOMAIN": f"track.{PLATFORM_DOMAIN}",
        "MAILROOM_SPF_INCLUDE": f"spf.{PLATFORM_DOMAIN}",
        "MAILROOM_MX_HOSTS": SMTP_HOSTNAME,
        "MAILROOM_NAMESERVERS": f"{LOOPBACK}:{config.ports.dns}",
        "MAILROOM_ENDPOINT_NETWORKS": "127.0.0.0/8",
        "MAILROOM_WEBHOOK_RETRY_HOURS": "24",
        "MAILROOM_WEBHOOK_TIMEOUT": "10",
        "MAILROOM_BRAKE_COMPLAINT_RATE": "0.001",
        "MAILROOM_BRAKE_BOUNCE_RATE": "0.05",
        "MAILROOM_APP_MAIL_HOST": MX_HOSTS[0],  # the platform's own mail ends in the mailboxes too
        "MAILROOM_APP_MAIL_PORT": str(config.ports.mx),
        "MAILROOM_APP_MAIL_TLS": "none",
        "MAILROOM_APP_MAIL_FROM": f"Mailroom <no-reply@{PLATFORM_DOMAIN}>",
        "MAILROOM_TRACE_RATE": "1",
        "AWS_XRAY_DAEMON_ADDRESS": f"{LOOPBACK}:{config.ports.xray}",
    }


def cloud_variables(config: StackConfig) -> dict[str, str]:
    """Return the variables that make any AWS client talk to the emulator and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": config.emulator_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(config.path("no-config")),
        "AWS_SHARED_CREDENTIALS_FILE": str(config.path("no-credentials")),
    }


def clean_variables(config: StackConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return what a process may know of the shell that started the stack: almost nothing.

    Functions run as children of the emulator and could read every secret it was given.
    """
    kept = {name: inherited[name] for name in ("PATH", "LANG", "LC_ALL", "TZ") if name in inherited}
    return {**kept, "HOME": str(config.path("home")), "TMPDIR": str(config.path("tmp"))}


def emulator(config: StackConfig, inherited: Mapping[str, str]) -> Program:
    """Return the AWS emulator, bound to the loopback address."""
    variables = {
        **clean_variables(config, inherited),
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": str(config.ports.emulator),
        "LOG_LEVEL": "WARNING",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONUNBUFFERED": "1",
        **_detour(inherited),  # the emulator hands it on to the functions
    }
    return Program(
        name=EMULATOR,
        command=(
            str(config.root / ".emulator" / "bin" / "python"),
            "-P",  # the folder of the script must not hide the emulator's own modules
            str(config.root / "localstack" / "emulator.py"),
        ),
        environment=variables,
        ready_file=_ready(config, EMULATOR),
        ready_url=f"{config.emulator_url}/_ministack/health",
        vital=True,
        grace=10.0,
    )


def name_server(config: StackConfig, inherited: Mapping[str, str]) -> Program:
    """Return the DNS server."""
    arguments = {
        "--zone": config.path("zone.json"),
        "--host": LOOPBACK,
        "--port": config.ports.dns,
        "--log": config.path("logs", "queries.jsonl"),
    }
    return _ours(config, inherited, "dns", "localstack.dns_server", arguments)


def simulator(config: StackConfig, inherited: Mapping[str, str]) -> Program:
    """Return the mailbox simulator."""
    arguments = {
        "--folder": config.path("simulator"),
        "--smtp-port": config.ports.mx,
        "--web-port": config.ports.simulator,
        "--hosts": ",".join(MX_HOSTS),
        "--ca-folder": config.path("certificates"),
        "--dns": f"{LOOPBACK}:{config.ports.dns}",
        "--webhook-public-key": config.path("webhook_public_key.pem"),
        "--verify": inherited.get(VERIFY, "receipt"),
    }
    return _ours(config, inherited, "simulator", "localstack.simulator", arguments)


def front(
    config: StackConfig, inherited: Mapping[str, str], endpoints: Mapping[str, str]
) -> Program:
    """Return the process that gives each API a stable address."""
    arguments = {
        "--upstream": config.emulator_url,
        "--api": f"{config.ports.api}={endpoints['api'].split('//')[1]}",
        "--tracking": f"{config.ports.tracking}={endpoints['tracking'].split('//')[1]}",
    }
    return _ours(config, inherited, "front", "localstack.front", arguments)


def ticker(config: StackConfig, inherited: Mapping[str, str], function: str) -> Program:
    """Return the process that wakes the scheduler more often than EventBridge can."""
    return _ours(config, inherited, "ticker", "localstack.ticker", {"--function": function})


def host_process(
    config: StackConfig,
    inherited: Mapping[str, str],
    role: str,
    resources: Resources,
    addresses: Mapping[str, str],
) -> Program:
    """Return one of the host's processes: `sender`, `submission` or `hostapi`."""
    own = environment(resources.hosts[role], addresses, common_variables(config))
    variables = {
        **_base(config, inherited),
        **own,
        "MAILROOM_NAMESERVERS": f"{LOOPBACK}:{config.ports.dns}",
        "MAILROOM_MX_PORT": str(config.ports.mx),
        "MAILROOM_MX_NETWORKS": "127.0.0.0/25,::1/128",
        "MAILROOM_SOURCE_ADDRESS6": "::1" if speaks_ipv6() else "",
        "MAILROOM_JOURNAL_DIR": str(config.path("journal")),
        "MAILROOM_FAULT_FILE": str(config.path(f"fault-{role}")),  # tests of crashes write it
        "MAILROOM_SUBMISSION_PORTS": (
            f"{config.ports.submission},{config.ports.submission_alternative}"
        ),
        "MAILROOM_SUBMISSION_TLS_PORTS": str(config.ports.submission_tls),
        "MAILROOM_SUBMISSION_CRAM": "1",
        "MAILROOM_TLS_CERT": str(config.path("certificates", "submission.pem")),
        "MAILROOM_TLS_KEY": str(config.path("certificates", "submission.key")),
        "MAILROOM_TLS_AUTHORITIES": str(config.path("certificates", "ca.pem")),
        "MAILROOM_EHLO_NAME": EHLO_NAME,
        "MAILROOM_SHAPING": "local",
        "MAILROOM_READY_FILE": str(_ready(config, role)),
    }
    module: tuple[str, ...] = ("egress", role)
    if role == SENDER:
        variables["MAILROOM_CONTROL_ADDRESS"] = f"{LOOPBACK}:{config.ports.control}"
    if role == HOSTAPI:
        module, variables = (HOSTAPI,), variables | _for_the_api(config)
    command = (sys.executable, "-m", *module)
    return Program(role, command, variables, _ready(config, role), grace=20.0)


def _for_the_api(config: StackConfig) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{config.root}{os.pathsep}{config.root / 'functions' / 'api'}",
        "MAILROOM_HOSTAPI_PORTS": str(config.ports.api_large),
        "MAILROOM_HOSTAPI_SPOOL_DIR": str(config.path("tmp")),
        "MAILROOM_TLS_CERT": str(config.path("certificates", "api-large.pem")),
        "MAILROOM_TLS_KEY": str(config.path("certificates", "api-large.key")),
    }


def after_provisioning(
    config: StackConfig,
    inherited: Mapping[str, str],
    resources: Resources,
    made: Mapping[str, Mapping[str, str]],
) -> tuple[Program, ...]:
    """Return what starts when the cloud resources in `made` (see `Provisioned`) are there."""
    addresses = made["addresses"]
    return (
        simulator(config, inherited),
        *(host_process(config, inherited, role, resources, addresses) for role in resources.hosts),
        front(config, inherited, made["endpoints"]),
        ticker(config, inherited, made["functions"]["scheduler"]),
    )


def _ours(
    config: StackConfig,
    inherited: Mapping[str, str],
    name: str,
    module: str,
    arguments: Mapping[str, object],
) -> Program:
    ready = _ready(config, name)
    flags = [str(part) for pair in arguments.items() for part in pair]
    command = (sys.executable, "-m", module, *flags, "--ready-file", str(ready))
    return Program(name, command, _base(config, inherited), ready)


def _base(config: StackConfig, inherited: Mapping[str, str]) -> dict[str, str]:
    return {
        **clean_variables(config, inherited),
        **cloud_variables(config),
        **_detour(inherited),
        "PYTHONPATH": str(config.root),
        "PYTHONUNBUFFERED": "1",
    }


def _detour(inherited: Mapping[str, str]) -> dict[str, str]:
    """Send the AWS calls of hosts and functions through a proxy, which counts them."""
    proxy = inherited.get(PROXY)
    return {"AWS_ENDPOINT_URL": proxy} if proxy else {}


def _ready(config: StackConfig, name: str) -> Path:
    return config.path("ready", f"{name}.json")
