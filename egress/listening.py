"""What processes that listen have in common: their event loop, ready file and certificate."""

import asyncio
import json
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from egress.submission.host import tls_context
from mailroom.settings import SettingsError

log = logging.getLogger(__name__)


class Certified(Protocol):
    """A server whose certificate can be replaced while it runs."""

    def use_certificate(self, context: ssl.SSLContext) -> None:
        """Use `context` for every handshake from now on."""


class Files(Protocol):
    """Where a host's certificate and its key lie."""

    @property
    def certificate(self) -> Path:
        """The certificate and its chain (PEM)."""

    @property
    def key(self) -> Path:
        """The private key (PEM)."""


def load_certificate_again(server: Certified, host: Files) -> None:
    """Use the certificate that lies in the files now, or stay with the old one and say why."""
    try:
        server.use_certificate(tls_context(host.certificate, host.key))
    except SettingsError as error:
        log.error("certificate kept", extra={"reason": str(error)})  # noqa: TRY400 - it says enough
    else:
        log.info("certificate loaded")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes a faster event loop, or None where there is none."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def write_ready(path: Path, ports: Mapping[str, Any]) -> None:
    """Write the ready file, our process id and `ports`, whole or not at all: whoever waits for it
    may read it at first sight."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"pid": os.getpid(), **ports}))
    draft.replace(path)
