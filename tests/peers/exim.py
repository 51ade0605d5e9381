"""A private Exim as a client: its configuration and queue in one folder. It speaks BDAT.

Debian's Exim cannot be installed beside Postfix, so the program stands alone (.ci/run unpacks
it); what it needs from the system is root, and the account it was built with.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "Debian-exim"

_CONFIGURATION = """\
primary_hostname = exim.peer.test
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
log_selector = +pipelining
keep_environment =
never_users =
local_from_check = false
untrusted_set_sender = *
timezone = UTC
begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = onward
begin transports
onward:
  driver = smtp
  port = {port}
  hosts_require_auth = *
  hosts_require_tls = *
  tls_try_verify_hosts = :
  connection_max_messages = 500
{options}begin retry
* * F,1h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{user}^{secret}
"""


@dataclass(frozen=True, slots=True)
class Exim:
    """Relays everything to 127.0.0.1:`port` with TLS and a login."""

    folder: Path

    @classmethod
    def made(
        cls, folder: Path, port: int, login: tuple[str, str], options: Sequence[str] = ()
    ) -> "Exim":
        """Write the configuration; `options` are of the smtp transport."""
        folder.mkdir()
        (folder / "spool").mkdir()
        for path in (folder, folder / "spool"):
            path.chmod(0o755)
            shutil.chown(path, ACCOUNT, ACCOUNT)
        text = _CONFIGURATION.format(
            folder=folder,
            port=port,
            options="".join(f"  {option}\n" for option in options),
            user=login[0],
            secret=login[1],
        )
        (folder / "configuration").write_text(text)
        return cls(folder)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        path = self.folder / "mainlog"
        return path.read_text() if path.exists() else ""

    @property
    def queued(self) -> int:
        """How many messages wait in its queue."""
        return int(self.run("-bpc"))

    def queue(self, sender: str, recipients: Sequence[str], raw: bytes) -> None:
        """Take a message, with CRLF line ends, into the queue."""
        self.run("-odq", "-oi", "-f", sender, *recipients, given=raw)

    def deliver(self) -> None:
        """Try to deliver what is in the queue, and wait until that is done."""
        self.run("-qqff")

    def run(self, *arguments: str, given: bytes = b"") -> str:
        """Run the program; return what it prints."""
        command = [program(), "-C", str(self.folder / "configuration"), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr).decode() + self.log
        return done.stdout.decode()


def program() -> str:
    """Where Exim is; "" if nowhere."""
    return shutil.which("exim4") or shutil.which("exim") or ""


def why_not() -> str:
    """Say why Exim cannot be run here; empty if it can."""
    if not program():
        return "Exim is not there"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"the account {ACCOUNT} is not there"
    return "" if os.geteuid() == 0 else "Exim must be started as root"
