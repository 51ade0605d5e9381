"""Finding ports that are free, and saying which are not."""

import socket
from collections.abc import Iterator, Sequence

from localstack.config import LOOPBACK, MX_HOSTS, Ports

ATTEMPTS = 200


class PortError(Exception):
    """A port is taken or an address is missing; the message names it and what needs it."""


def check_ports(ports: Ports) -> None:
    """Raise PortError for the first port that cannot be listened on."""
    for use, port in ports.uses():
        for host in _hosts(use):
            problem = _problem(host, port, datagrams=use == "dns")
            if problem:
                raise PortError(
                    f"Port {port} on {host} is needed by the {use} and cannot be used: {problem}."
                )


def speaks_ipv6() -> bool:
    """Say whether this machine has an IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_ports() -> Ports:
    """Return ports that are free now. Raises PortError if none can be found."""
    found: list[int] = []
    for use, _ in Ports().uses():
        found.append(_free_port(_hosts(use), found))
    return Ports(*found)


def _hosts(use: str) -> Sequence[str]:
    return MX_HOSTS if use == "mx" else (LOOPBACK,)


def _free_port(hosts: Sequence[str], taken: Sequence[int]) -> int:
    for port in _candidates():
        if port not in taken and not any(_problem(h, port, datagrams=True) for h in hosts):
            return port
    raise PortError(f"No free port on {', '.join(hosts)} after {ATTEMPTS} tries.")


def _candidates() -> Iterator[int]:
    for _ in range(ATTEMPTS):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        yield port


def _problem(host: str, port: int, *, datagrams: bool) -> str:
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if datagrams else (socket.SOCK_STREAM,)
    for kind in kinds:
        with socket.socket(type=kind) as probe:
            if kind is socket.SOCK_STREAM:  # else the last run's closed connections would refuse
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                if kind is socket.SOCK_STREAM:
                    probe.listen(1)
            except OSError as refusal:
                return (refusal.strerror or "unknown error").lower()
    return ""
