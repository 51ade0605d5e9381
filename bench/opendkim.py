"""A private OpenDKIM: a signing milter on a loopback port, and keys given by file, not by DNS."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_WITHIN = 20.0


class OpenDkimError(Exception):
    """OpenDKIM did not start; the message says why."""


def why_not() -> str:
    """Say why OpenDKIM cannot run here; empty if it can."""
    missing = shutil.which("opendkim") is None
    return "opendkim is not installed (Debian package opendkim)" if missing else ""


@contextmanager
def signing_milter(
    folder: Path, port: int, *, domain: str, selector: str, private_pem: bytes
) -> Iterator[int]:
    """Sign what comes over the milter protocol to `port`, relaxed/relaxed with RSA-SHA256.

    Yields the process id. Raises OpenDkimError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "private.pem"
    key.write_bytes(private_pem)
    key.chmod(0o600)
    config = folder / "opendkim.conf"
    config.write_text(
        f"Mode s\nDomain {domain}\nSelector {selector}\nKeyFile {key}\n"
        f"Canonicalization relaxed/relaxed\nSignatureAlgorithm rsa-sha256\n"
        f"Socket inet:{port}@127.0.0.1\nSyslog no\nBackground no\nInternalHosts 127.0.0.1\n"
        "RequireSafeKeys no\n"  # it would refuse any key below a shared temporary folder
    )
    milter = subprocess.Popen(
        ["opendkim", "-f", "-x", str(config)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait(milter, port)
        yield milter.pid
    finally:
        milter.terminate()
        try:
            milter.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            milter.kill()
            milter.communicate()


def _wait(milter: "subprocess.Popen[str]", port: int) -> None:
    deadline = time.monotonic() + _START_WITHIN
    while time.monotonic() < deadline:
        if milter.poll() is not None:
            said = milter.stderr.read().strip() if milter.stderr else ""
            raise OpenDkimError(f"opendkim ended: {said}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise OpenDkimError(f"opendkim does not listen on port {port} after {_START_WITHIN:g} s")
