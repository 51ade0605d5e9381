"""What only a host that serves the API is told (docs/api/large-payloads.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from egress.submission.host import Network
from hostapi.limits import MEGABYTE, HttpLimits
from mailroom.settings import SettingsError

_PAGE = "docs/api/large-payloads.md"


@dataclass(frozen=True, slots=True)
class ApiHost:
    """A host's settings. `grace` is seconds, `memory` and `held` octets (`memory` 0: no limit);
    `proxies` are the networks whose X-Forwarded-For is believed.
    """

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    certificate: Path
    key: Path
    ready_file: Path | None
    folder: Path | None
    grace: float
    threads: int
    large_threads: int
    connections: int
    held: int
    memory: int
    proxies: tuple[Network, ...]


def read_host(environment: Mapping[str, str]) -> ApiHost:
    """Read a host's settings. Raises SettingsError naming the one at fault."""
    return ApiHost(
        addresses=_list(environment.get("MAILROOM_LISTEN_HOST") or "127.0.0.1"),
        ports=_ports(environment),
        certificate=Path(_needed(environment, "MAILROOM_TLS_CERT")),
        key=Path(_needed(environment, "MAILROOM_TLS_KEY")),
        ready_file=_path(environment, "MAILROOM_READY_FILE"),
        folder=_folder(environment),
        grace=_number(environment, "MAILROOM_GRACE_SECONDS", 30, 0, 3600),
        threads=_number(environment, "MAILROOM_HOSTAPI_THREADS", 8, 1, 256),
        large_threads=_number(environment, "MAILROOM_HOSTAPI_LARGE_THREADS", 2, 1, 64),
        connections=_number(environment, "MAILROOM_HOSTAPI_CONNECTIONS", 1_000, 1, 100_000),
        held=_number(environment, "MAILROOM_HOSTAPI_SPOOL_MB", 1_024, 1, 1 << 20) * MEGABYTE,
        memory=_number(environment, "MAILROOM_MAX_MEMORY_MB", 0, 0, 1 << 20) * MEGABYTE,
        proxies=_proxies(environment),
    )


def http_limits(host: ApiHost, *, body: int, message: int) -> HttpLimits:
    """Return the limits for bodies of `body` octets that hold messages of up to `message`.

    Raises SettingsError if what the host has cannot hold them.
    """
    usual = HttpLimits(body)
    if host.held < body:
        raise SettingsError(
            f"MAILROOM_HOSTAPI_SPOOL_MB: {host.held // MEGABYTE} is less than one body of "
            f"{body // MEGABYTE + 1} MB ({_PAGE})"
        )
    needed = memory_needed(host, message)
    if host.memory and host.memory < needed:
        raise SettingsError(
            f"MAILROOM_MAX_MEMORY_MB: {host.memory // MEGABYTE} is too little for messages of "
            f"{message // MEGABYTE} MB, {host.large_threads} at once need "
            f"{needed // MEGABYTE} ({_PAGE})"
        )
    return HttpLimits(
        body,
        held=host.held,
        held_per_client=min(host.held, max(body, usual.held_per_client)),
        connections=host.connections,
    )


def memory_needed(host: ApiHost, message: int) -> int:
    """Return the memory, in octets, that the process may come to need: see the page."""
    return _IDLE + host.large_threads * _TIMES * message


_IDLE = 256 * MEGABYTE  # the process with its AWS clients, stacks of threads, small requests
_TIMES = 8  # of a message: what one takes while it is accepted, measured in the contract test


def _ports(environment: Mapping[str, str]) -> tuple[int, ...]:
    name = "MAILROOM_HOSTAPI_PORTS"
    ports = _list(environment.get(name) or "443")
    return tuple(_number({name: port}, name, 443, 0, 65_535) for port in ports)


def _proxies(environment: Mapping[str, str]) -> tuple[Network, ...]:
    name = "MAILROOM_HOSTAPI_PROXY_NETWORKS"
    try:
        return tuple(ip_network(text) for text in _list(environment.get(name, "")))
    except ValueError as error:
        raise SettingsError(f"{name}: {error} ({_PAGE})") from None


def _folder(environment: Mapping[str, str]) -> Path | None:
    name = "MAILROOM_HOSTAPI_SPOOL_DIR"
    folder = _path(environment, name)
    if folder is not None and not folder.is_dir():
        raise SettingsError(f"{name}: there is no folder {str(folder)!r} ({_PAGE})")
    return folder


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name)
    return Path(text) if text else None


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set ({_PAGE})")
    return value


def _number(environment: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise SettingsError(f"{name}: {text!r} is no number from {least} to {most} ({_PAGE})")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
