"""The terraform binary with the real AWS provider, on a copy of `infra/`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localstack import state
from tests.support.emulator import ROOT

PLUGINS = "MAILROOM_TERRAFORM_PLUGINS"
USUAL_FOLDERS = (
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt",
)
PROVIDER = "registry.terraform.io/hashicorp/aws"
ADOPTED = "adopted.tf"
QUICK = ("-auto-approve", "-input=false", "-parallelism=20", "-no-color")
PATIENCE = 120.0  # seconds


def plugin_folder() -> Path | None:
    """The folder that has the AWS provider: named by a variable, or in a usual place."""
    named = os.environ.get(PLUGINS)
    if named:
        return Path(named)
    for folder in (Path(name).expanduser() for name in USUAL_FOLDERS):
        for depth in ("", "*/"):
            for found in folder.glob(depth + PROVIDER):
                return found.parent.parent.parent
    return None


@dataclass(frozen=True)
class Workspace:
    """A copy of `infra/`, so that no state and no plug-in link gets into the checkout."""

    folder: Path
    variables: dict[str, str]

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run terraform, return what it prints."""
        done = subprocess.run(
            ["terraform", *arguments],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == exit_code, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout

    def apply(self, *arguments: str, exit_code: int = 0) -> str:
        return self.run("apply", *QUICK, *arguments, exit_code=exit_code)

    def destroy(self, exit_code: int = 0) -> None:
        self.run("destroy", *QUICK, exit_code=exit_code)

    def starting(self) -> "Running":
        """An apply that is still at it."""
        log = self.folder.parent / "running.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["terraform", "apply", *QUICK],
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return Running(process, log)

    def adopt(self) -> set[str]:
        """Write import blocks for what is there and not in the state; return their addresses."""
        self.run("plan", "-input=false", "-out=lost.plan")
        done = subprocess.run(
            [sys.executable, "-m", "localstack.adopt"],
            input=self.run("show", "-json", "lost.plan"),
            cwd=ROOT,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        (self.folder / ADOPTED).write_text(done.stdout)
        return {line.partition("= ")[2] for line in done.stdout.splitlines() if " to " in line}

    def forget_adoption(self) -> None:
        (self.folder / ADOPTED).unlink()

    def output(self, name: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.run("output", "-json", name))
        return found


@dataclass(frozen=True)
class Running:
    """A terraform process and the file it prints to."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def interrupt(self) -> None:
        """Ask it to stop, and return when it has heard."""
        self.process.send_signal(signal.SIGINT)
        heard = state.wait_for(lambda: "Interrupt received" in self.log.read_text(), PATIENCE)
        assert heard, self.log.read_text()

    def end(self) -> str:
        """Wait for its end, return what it printed; whatever happens, no process is left."""
        try:
            self.process.wait(PATIENCE)
        finally:
            self.kill()
        return self.log.read_text()

    def kill(self) -> None:
        """Take it and its provider away at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def workspace(folder: Path, variables: Mapping[str, Any]) -> Workspace:
    """Return an initialised workspace below `folder`; skips the test where terraform is missing."""
    plugins = plugin_folder()
    if shutil.which("terraform") is None or plugins is None:
        pytest.skip(f"needs terraform and its AWS provider ({PLUGINS} may name the folder)")
    copy = folder / "infra"
    shutil.copytree(ROOT / "infra", copy, ignore=shutil.ignore_patterns(".terraform*"))
    made = Workspace(copy / "terraform", dict(variables))
    made.run("init", "-input=false", f"-plugin-dir={plugins}")
    return made
