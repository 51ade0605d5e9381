"""What only a submission host is told (docs/smtp.md, "Running it"), and its certificate."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from mailroom.settings import SettingsError

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Host:
    """A host's settings. `threads` bounds acceptances, `grace` is seconds, `memory` octets (0 for
    no limit); `proxies` are the networks whose connections begin with a PROXY header.
    """

    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    tls_ports: tuple[int, ...]
    name: str
    certificate: Path
    key: Path
    ready_file: Path | None
    grace: float
    threads: int
    connections: int
    cram: bool
    proxies: tuple[Network, ...]
    memory: int
    fault_file: Path | None


def read_host(environment: Mapping[str, str]) -> Host:
    """Read a host's settings. Raises SettingsError naming the one at fault."""
    ready, fault = environment.get("MAILROOM_READY_FILE"), environment.get("MAILROOM_FAULT_FILE")
    # Whoever chose ports did not ask for another one, which may need a privilege.
    tls_ports = "none" if environment.get("MAILROOM_SUBMISSION_PORTS") else "465"
    return Host(
        addresses=_list(environment.get("MAILROOM_LISTEN_HOST") or "127.0.0.1"),
        ports=_ports(environment, "MAILROOM_SUBMISSION_PORTS", "587,2525"),
        tls_ports=_ports(environment, "MAILROOM_SUBMISSION_TLS_PORTS", tls_ports),
        name=_needed(environment, "MAILROOM_SMTP_HOSTNAME"),
        certificate=Path(_needed(environment, "MAILROOM_TLS_CERT")),
        key=Path(_needed(environment, "MAILROOM_TLS_KEY")),
        ready_file=Path(ready) if ready else None,
        grace=_from(environment, "MAILROOM_GRACE_SECONDS", default=30, ceiling=3600),
        threads=max(1, _from(environment, "MAILROOM_SUBMISSION_THREADS", default=16, ceiling=256)),
        connections=max(
            1, _from(environment, "MAILROOM_SUBMISSION_CONNECTIONS", default=1000, ceiling=100_000)
        ),
        cram=_switch(environment, "MAILROOM_SUBMISSION_CRAM"),
        proxies=_proxies(environment),
        memory=_from(environment, "MAILROOM_MAX_MEMORY_MB", default=0, ceiling=1 << 20) << 20,
        fault_file=Path(fault) if fault else None,
    )


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the server's TLS settings. Raises SettingsError if the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"MAILROOM_TLS_CERT and MAILROOM_TLS_KEY cannot be used: {error} (docs/smtp.md)"
        ) from error
    return context


def _proxies(environment: Mapping[str, str]) -> tuple[Network, ...]:
    name = "MAILROOM_SUBMISSION_PROXY_NETWORKS"
    try:
        networks = tuple(ip_network(text) for text in _list(environment.get(name, "")))
    except ValueError as error:
        raise SettingsError(f"{name}: {error} (docs/smtp.md)") from None
    if not _switch(environment, "MAILROOM_SUBMISSION_PROXY"):
        return ()
    if not networks:
        # Without one nobody could be believed, and a header from anybody would be a disguise.
        raise SettingsError(f"MAILROOM_SUBMISSION_PROXY=1 needs {name} (docs/smtp.md)")
    return networks


def _ports(environment: Mapping[str, str], name: str, default: str) -> tuple[int, ...]:
    text = environment.get(name) or default
    return () if text == "none" else tuple(_number(name, port, 65_535) for port in _list(text))


def _switch(environment: Mapping[str, str], name: str) -> bool:
    text = environment.get(name) or "0"
    if text not in ("0", "1"):
        raise SettingsError(f"{name} is 0 or 1, not {text!r} (docs/smtp.md)")
    return text == "1"


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set (docs/smtp.md)")
    return value


def _from(environment: Mapping[str, str], name: str, *, default: int, ceiling: int) -> int:
    return _number(name, environment.get(name) or str(default), ceiling)


def _number(name: str, text: str, ceiling: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= ceiling):
        raise SettingsError(f"{name}: {text!r} is no number up to {ceiling} (docs/smtp.md)")
    return int(text)


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
