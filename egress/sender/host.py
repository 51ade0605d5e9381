"""What only a host is told: read from its environment by `wiring.py` (docs/settings.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from egress.control_http import parse_address
from egress.core.routes import Routes


@dataclass(frozen=True, slots=True)
class Host:
    """A host's settings. `slots` bounds connections, `ready` the jobs that wait in memory."""

    name: str
    name_servers: tuple[str, ...]
    ehlo_name: str
    source_address: str | None
    source_address6: str | None
    mx_port: int
    networks: tuple[str, ...]
    routes: Routes
    authorities: Path | None
    journal: Path
    ready_file: Path | None
    fault_file: Path | None
    slots: int
    ready: int
    grace: float
    shaping: str
    control: tuple[str, int] | None
    own_address: bool
    sts_port: int
    elastic_interface: str  # "" for a host whose addresses are its own
    most_addresses: int  # leased at once; 0 is without limit


def read_host(environment: Mapping[str, str]) -> Host:
    """Read a host's settings (docs/settings.md). Raises ValueError or KeyError naming one."""
    authorities = environment.get("MAILROOM_TLS_AUTHORITIES")
    ready, fault = environment.get("MAILROOM_READY_FILE"), environment.get("MAILROOM_FAULT_FILE")
    ehlo_name = environment["MAILROOM_EHLO_NAME"]
    return Host(
        name=environment.get("MAILROOM_HOST_NAME") or ehlo_name,
        name_servers=_list(environment["MAILROOM_NAMESERVERS"]),
        ehlo_name=ehlo_name,
        source_address=environment.get("MAILROOM_SOURCE_ADDRESS") or None,
        source_address6=environment.get("MAILROOM_SOURCE_ADDRESS6") or None,
        mx_port=int(environment.get("MAILROOM_MX_PORT", "25")),
        networks=_list(environment.get("MAILROOM_MX_NETWORKS", "")),
        routes=_routes(environment),
        authorities=Path(authorities) if authorities else None,
        journal=Path(environment["MAILROOM_JOURNAL_DIR"]) / "sender.journal",
        ready_file=Path(ready) if ready else None,
        fault_file=Path(fault) if fault else None,
        slots=int(environment.get("MAILROOM_SENDER_SLOTS", "200")),
        ready=int(environment.get("MAILROOM_SENDER_READY", "2000")),
        grace=float(environment.get("MAILROOM_GRACE_SECONDS", "600")),
        shaping=environment.get("MAILROOM_SHAPING", "starter"),
        control=parse_address(environment.get("MAILROOM_CONTROL_ADDRESS", "")),
        own_address=environment.get("MAILROOM_OWN_ADDRESS", "1") != "0",
        sts_port=int(environment.get("MAILROOM_STS_PORT", "443")),
        elastic_interface=environment.get("MAILROOM_ELASTIC_INTERFACE", ""),
        most_addresses=int(environment.get("MAILROOM_SENDER_ADDRESSES", "0")),
    )


def _routes(environment: Mapping[str, str]) -> Routes:
    try:
        return Routes.parse(_list(environment.get("MAILROOM_STATIC_ROUTES", "")))
    except ValueError as problem:
        raise ValueError(f"MAILROOM_STATIC_ROUTES: {problem} (docs/settings.md)") from None


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
