"""A private OpenDKIM: a signing milter on a socket of its own, keys given by file, not by DNS.

The socket is a local one, as in Debian's own configuration. Over TCP each message waits 80 ms for
delayed acknowledgements, and a peer so hindered is no peer.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_WITHIN = 20.0


class OpenDkimError(Exception):
    """OpenDKIM did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Milter:
    """A running one: its process id, and the `address` that Postfix is told."""

    pid: int
    address: str


def why_not() -> str:
    """Say why OpenDKIM cannot run here; empty if it can."""
    missing = shutil.which("opendkim") is None
    return "opendkim is not installed (Debian package opendkim)" if missing else ""


@contextmanager
def signing_milter(
    folder: Path, *, domain: str, selector: str, private_pem: bytes
) -> Iterator[Milter]:
    """Sign what comes over the milter protocol, relaxed/relaxed with RSA-SHA256.

    Raises OpenDkimError.
    """
    # The path of a local socket may not be long, and a test's folder is.
    with tempfile.TemporaryDirectory(prefix="milter-") as name:
        place = Path(name, "socket")
        place.parent.chmod(0o755)
        with _running(_configured(folder, place, domain, selector, private_pem)) as milter:
            _wait(milter, place)
            yield Milter(milter.pid, f"unix:{place}")


def _configured(folder: Path, place: Path, domain: str, selector: str, private_pem: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "private.pem"
    key.write_bytes(private_pem)
    key.chmod(0o600)
    config = folder / "opendkim.conf"
    config.write_text(
        f"Mode s\nDomain {domain}\nSelector {selector}\nKeyFile {key}\n"
        f"Canonicalization relaxed/relaxed\nSignatureAlgorithm rsa-sha256\n"
        f"Socket local:{place}\nUMask 000\nSyslog no\nBackground no\nInternalHosts 127.0.0.1\n"
        "RequireSafeKeys no\n"  # it would refuse any key below a shared temporary folder
    )
    return config


@contextmanager
def _running(config: Path) -> Iterator["subprocess.Popen[str]"]:
    milter = subprocess.Popen(
        ["opendkim", "-f", "-x", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield milter
    finally:
        milter.terminate()
        try:
            milter.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            milter.kill()
            milter.communicate()


def _wait(milter: "subprocess.Popen[str]", place: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline:
        if milter.poll() is not None:
            said = milter.stderr.read().strip() if milter.stderr else ""
            raise OpenDkimError(f"opendkim ended: {said}")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            if probe.connect_ex(str(place)) == 0:
                return
        time.sleep(0.05)
    raise OpenDkimError(f"opendkim does not listen at {place} after {_START_WITHIN:g} s")
