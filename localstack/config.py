"""What one local stack is: its folder, its ports and the few numbers that may differ."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
MX_HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")  # the simulator's, see zones.py
PLATFORM_DOMAIN = "mailroom.test"
FROM_DOMAIN = "demo.mailroom.test"
RECIPIENT_DOMAIN = "sim.test"
RETURN_PATH_DOMAIN = f"rp.{PLATFORM_DOMAIN}"
SMTP_HOSTNAME = f"smtp.{PLATFORM_DOMAIN}"
LARGE_API_HOSTNAME = f"api-large.{PLATFORM_DOMAIN}"
EHLO_NAME = f"out.{PLATFORM_DOMAIN}"
REGION = "us-east-1"
PREFIX = "mailroom"
ENVIRONMENT = "local"  # ids and keys made here bear its mark
DELAY_DIVISOR = 60.0  # a retry that waits a minute on AWS waits a second here
MAX_MESSAGE_MB = 25


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of a stack (`dns` is UDP too). All are on 127.0.0.1 but `mx`, which is on
    each of the simulator's addresses.
    """

    emulator: int = 4566
    api: int = 8080
    tracking: int = 8081
    simulator: int = 8025
    submission: int = 2587
    submission_alternative: int = 2525
    dns: int = 5533
    mx: int = 2500
    submission_tls: int = 2465
    xray: int = 2010  # UDP; nobody listens unless you start a daemon there
    api_large: int = 8443
    control: int = 9110

    def uses(self) -> Iterator[tuple[str, int]]:
        """Yield each port with what needs it."""
        for name, port in asdict(self).items():
            yield name.replace("_", " "), port


@dataclass(frozen=True, slots=True)
class StackConfig:
    """One local stack. `root` is the project's folder, `state` holds everything it writes.

    With `pools` the demonstration sends from pools of addresses (`demo_pools.py`).
    """

    root: Path
    state: Path
    ports: Ports
    prefix: str = PREFIX
    delay_divisor: float = DELAY_DIVISOR
    pools: bool = False

    @property
    def emulator_url(self) -> str:
        """The AWS endpoint."""
        return f"http://{LOOPBACK}:{self.ports.emulator}"

    @property
    def api_url(self) -> str:
        """The platform's HTTP API."""
        return f"http://{LOOPBACK}:{self.ports.api}"

    @property
    def api_large_url(self) -> str:
        """The same API on the host, for large bodies; its certificate is the local authority's."""
        return f"https://{LOOPBACK}:{self.ports.api_large}"

    @property
    def control_url(self) -> str:
        """Where the sender tells its health, metrics and view."""
        return f"http://{LOOPBACK}:{self.ports.control}"

    @property
    def tracking_url(self) -> str:
        """Where opens and clicks arrive."""
        return f"http://{LOOPBACK}:{self.ports.tracking}"

    @property
    def simulator_url(self) -> str:
        """The mailbox simulator's web page."""
        return f"http://{LOOPBACK}:{self.ports.simulator}"

    def path(self, *parts: str) -> Path:
        """Return a path below the state folder."""
        return self.state.joinpath(*parts)

    @property
    def builds(self) -> Path:
        """Where the zips are kept: by content, so all stacks of this checkout share them."""
        return self.root / ".mailroom" / "builds"


def write_config(config: StackConfig) -> None:
    """Write the stack's configuration where its processes read it."""
    stored = {
        "root": str(config.root),
        "state": str(config.state),
        "ports": asdict(config.ports),
        "prefix": config.prefix,
        "delay_divisor": config.delay_divisor,
        "pools": config.pools,
    }
    write_json(config.path("config.json"), stored)


def read_config(state: Path) -> StackConfig:
    """Read what `write_config` wrote. Raises OSError if the stack was never started."""
    stored = json.loads((state / "config.json").read_text())
    return StackConfig(
        root=Path(stored["root"]),
        state=state,
        ports=Ports(**stored["ports"]),
        prefix=stored["prefix"],
        delay_divisor=stored["delay_divisor"],
        pools=stored.get("pools", False),
    )


def write_json(path: Path, content: Any, *, mode: int = 0o644) -> None:
    """Write a JSON file all at once, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=mode)
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)


def read_json(path: Path) -> Any:
    """Return a JSON file's content, or an empty dict if there is none or it is broken."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
