"""A private Postfix: its own configuration, queue and data in one folder, on loopback ports.

Nothing of the system's own Postfix is touched. Its master process must start as root, and drops
to the account `postfix` by itself.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DAEMONS = Path("/usr/lib/postfix/sbin")
_START_WITHIN = 30.0

_SETTINGS = {
    "compatibility_level": "3.6",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "myhostname": "peer.mailroom.test",
    "mydestination": "",
    "alias_maps": "",
    "alias_database": "",
    "smtputf8_enable": "no",
    "biff": "no",
    "maillog_file_prefixes": "/",
}

# Name, type, private, unprivileged, chroot, wake-up, limit, command: see master(5).
_SERVICES = """\
pickup    unix  n  -  n  60   1  pickup
cleanup   unix  n  -  n  -    0  cleanup
qmgr      unix  n  -  n  300  1  qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -    -  trivial-rewrite
bounce    unix  -  -  n  -    0  bounce
defer     unix  -  -  n  -    0  bounce
trace     unix  -  -  n  -    0  bounce
verify    unix  -  -  n  -    1  verify
proxymap  unix  -  -  n  -    -  proxymap
smtp      unix  -  -  n  -    -  smtp
relay     unix  -  -  n  -    -  smtp
error     unix  -  -  n  -    -  error
retry     unix  -  -  n  -    -  error
discard   unix  -  -  n  -    -  discard
virtual   unix  -  n  n  -    -  virtual
lmtp      unix  -  -  n  -    -  lmtp
anvil     unix  -  -  n  -    1  anvil
scache    unix  -  -  n  -    1  scache
postlog   unix-dgram n - n -  1  postlogd
"""


class PostfixError(Exception):
    """Postfix cannot be run here, or did not start; the message says why."""


@dataclass(frozen=True, slots=True)
class Postfix:
    """A running instance: `port` is its SMTP server's on 127.0.0.1."""

    folder: Path
    port: int
    master: int

    @property
    def log(self) -> str:
        """What it has logged so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def queued(self) -> int:
        """How many messages wait in its queues."""
        names = ("maildrop", "incoming", "active", "deferred", "hold")
        return sum(_files(self.folder / "queue" / name) for name in names)


def why_not() -> str:
    """Say why no private Postfix can run here; empty if it can."""
    if shutil.which("postfix") is None or not (DAEMONS / "master").exists():
        return "postfix is not installed (Debian package postfix)"
    return "" if os.geteuid() == 0 else "Postfix's master process must be started as root"


@contextmanager
def running_postfix(folder: Path, port: int, settings: Mapping[str, str]) -> Iterator[Postfix]:
    """Run an instance in `folder`, whose parents everybody may enter; stop it whatever happens.

    `settings` go to main.cf and win over the defaults. Raises PostfixError.
    """
    problem = why_not()
    if problem:
        raise PostfixError(problem)
    config = _write(folder, port, settings)
    postfix = ["postfix", "-c", str(config)]
    try:
        started = subprocess.run([*postfix, "start"], capture_output=True, text=True, check=False)
        if started.returncode != 0:
            raise PostfixError(f"postfix did not start: {started.stderr.strip()}\n{_log(folder)}")
        yield Postfix(folder, port, _master(folder))
    finally:
        subprocess.run([*postfix, "stop"], capture_output=True, check=False)


def _write(folder: Path, port: int, settings: Mapping[str, str]) -> Path:
    config = folder / "config"
    for path in (config, folder / "queue", folder / "data"):
        path.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    shutil.chown(folder / "data", "postfix")
    own = {
        "queue_directory": folder / "queue",
        "data_directory": folder / "data",
        "daemon_directory": DAEMONS,
        "command_directory": "/usr/sbin",
        "maillog_file": folder / "log",
    }
    lines = [f"{name} = {value}\n" for name, value in {**own, **_SETTINGS, **settings}.items()]
    (config / "main.cf").write_text("".join(lines))
    listener = f"127.0.0.1:{port} inet n - n - - smtpd\n"
    (config / "master.cf").write_text(listener + _SERVICES)
    return config


def _master(folder: Path) -> int:
    deadline = time.monotonic() + _START_WITHIN
    path = folder / "queue" / "pid" / "master.pid"
    while time.monotonic() < deadline:
        text = path.read_text().strip() if path.exists() else ""
        if text.isdecimal():
            return int(text)
        time.sleep(0.05)
    raise PostfixError(f"postfix has no master process\n{_log(folder)}")


def _files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _log(folder: Path) -> str:
    path = folder / "log"
    return path.read_text(errors="replace")[-2000:] if path.exists() else ""
