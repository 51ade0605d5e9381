"""Certificates of every kind for scripted hosts, and a watch that writes down what it is told."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localstack.certificates import ensure_authority, issue
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult

OLD = timedelta(days=2_000)  # longer than a host's certificate lasts, shorter than an authority's


@dataclass(frozen=True)
class Authority:
    """An authority in `folder`, whose certificate is at `file`."""

    folder: Path
    file: Path

    def host(self, name: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return the TLS context of a host called `name`."""
        now = datetime.now(UTC) - OLD if expired else None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # One that is over would be made anew under the same name.
        file = f"{name}-expired" if expired else name
        context.load_cert_chain(*issue(self.folder, file, [name], now=now))
        return context


def an_authority(folder: Path) -> Authority:
    """Return an authority old enough to have signed certificates that are over by now."""
    made = ensure_authority(folder, now=datetime.now(UTC) - OLD)
    return Authority(folder, made.certificate)


@dataclass
class Watch:
    """A TlsWatch. Entries are domain, kind of policy, and result or "ok" with the host."""

    told: list[tuple[str, str, str, str]] = field(default_factory=list)

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        self.told.append((domain, policy.kind, "ok", ""))

    def failed(self, domain: str, policy: AppliedPolicy, failing: Failing) -> None:
        assert isinstance(failing.result, TlsResult)
        self.told.append((domain, policy.kind, str(failing.result), failing.mx))
