"""Lambda zips: `chalice package` for each app, checked, slimmed and kept by content.

The same sources give the same zip, byte for byte, so a second start builds nothing and a plan
against a deployed stack shows no change.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from localstack.naming import SERVICES, functions_of
from localstack.resources import Resources

RECIPE = "1"  # raise it when this file makes other zips from the same sources
PARALLEL = 2
KEEP_SECONDS = 3600
TIMEOUT = 600  # seconds for one app, its downloads included
ALWAYS = "sts"  # botocore resolves roles with it
EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's first moment
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", "deployments", "deployed")


class BuildError(Exception):
    """An app could not be packaged, or its zip lacks something it must have."""


def runtime() -> str:
    """Return the Lambda runtime the zips are for: that of the interpreter that packages."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def build_all(
    root: Path, folder: Path, resources: Resources, environment: Mapping[str, str]
) -> dict[str, Path]:
    """Return the zip of each app of the project at `root`, built into `folder` where missing.

    Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def one(app: str) -> Path:
        return build(root, folder, app, services_of(resources, app), environment)

    with ThreadPoolExecutor(PARALLEL) as pool:
        return dict(zip(resources.apps, pool.map(one, resources.apps), strict=True))


def services_of(resources: Resources, app: str) -> frozenset[str]:
    """Return the AWS services an app's functions have access to."""
    functions = functions_of(resources, app).values()
    used = {SERVICES[access.kind] for function in functions for access in function.access}
    return frozenset(used | {ALWAYS})


def build(
    root: Path, folder: Path, app: str, services: frozenset[str], environment: Mapping[str, str]
) -> Path:
    """Return the zip of one app. Raises BuildError."""
    finished = folder / f"{app}-{_fingerprint(root, app, services)}.zip"
    with suppress(FileNotFoundError):
        os.utime(finished)  # wanted now, says `forget`
        return finished
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        project = Path(scratch, "project")
        # A copy, because chalice leaves files in the project and two stacks may build at once.
        shutil.copytree(root / "functions" / app, project, ignore=IGNORED)
        packaged = _package(project, app, environment)
        check(packaged, app)
        slim = Path(scratch, "slim.zip")
        rewrite(packaged, slim, services)
        slim.replace(finished)
    forget(folder, app, finished)
    return finished


def forget(folder: Path, app: str, finished: Path) -> None:
    """Delete the zips of an app that nobody has wanted for an hour. A younger one may be about to
    be read by a stack that is just starting, from sources of a minute ago.
    """
    for old in folder.glob(f"{app}-*.zip"):
        with suppress(FileNotFoundError):
            if old != finished and old.stat().st_mtime < finished.stat().st_mtime - KEEP_SECONDS:
                old.unlink()


def check(packaged: Path, app: str) -> None:
    """Raise BuildError unless the zip holds the entry point, the app's package and `mailroom` with
    its data.

    Chalice packages "successfully" without a shared package it could not find.
    """
    with zipfile.ZipFile(packaged) as zipped:
        names = set(zipped.namelist())
    data = "mailroom/data/reply_rules.json"
    for needed in ("app.py", f"mail_{app}/__init__.py", "mailroom/__init__.py", data):
        if needed not in names:
            raise BuildError(f"the zip of {app} has no {needed}")


def rewrite(source: Path, target: Path, services: frozenset[str]) -> None:
    """Copy a zip without the API descriptions of unused services, in an order that is always
    the same. They are nine tenths of it, and a cold start unpacks all of it.
    """
    with (
        zipfile.ZipFile(source) as zipped,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as slim,
    ):
        for name in sorted(set(zipped.namelist())):
            if name.endswith("/") or not _is_wanted(name, services):
                continue
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            slim.writestr(entry, zipped.read(name), zipfile.ZIP_DEFLATED)


def write_manifest(folder: Path, zips: Mapping[str, Path]) -> Path:
    """Write what Terraform needs to know about the zips and return the file."""
    manifest = folder / "zips.json"
    paths = {app: str(path.resolve()) for app, path in zips.items()}
    manifest.write_text(json.dumps({"runtime": runtime(), "zips": paths}, indent=2) + "\n")
    return manifest


def _is_wanted(name: str, services: frozenset[str]) -> bool:
    parts = name.split("/")
    if parts[:2] in (["botocore", "data"], ["boto3", "data"]) and len(parts) > 3:
        return parts[2] in services
    return parts[:2] != ["boto3", "examples"]


def _package(project: Path, app: str, environment: Mapping[str, str]) -> Path:
    chalice = "import sys; from chalice.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", chalice, "package", "--pkg-format", "terraform", "out"]
    # Chalice imports the app; it must find the vendored packages and not this checkout's.
    variables = {k: v for k, v in environment.items() if k != "PYTHONPATH"}
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command,
            cwd=project,
            env={**variables, "AWS_DEFAULT_REGION": "us-east-1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"packaging {app} took over {TIMEOUT} s") from None
    if done.returncode != 0:
        raise BuildError(f"chalice could not package {app}:\n{_tail(done.stdout + done.stderr)}")
    if "Could not install" in done.stderr + done.stdout:
        raise BuildError(f"packages of {app} are missing:\n{_tail(done.stdout + done.stderr)}")
    packaged = project / "out" / "deployment.zip"
    if not packaged.exists():  # chalice makes none for an app that declares nothing
        raise BuildError(f"app.py of {app} declares no route and no lambda_function")
    return packaged


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-12:])


def _fingerprint(root: Path, app: str, services: Iterable[str]) -> str:
    digest = hashlib.sha256(f"{RECIPE} {runtime()} {sorted(services)}".encode())
    for path in _sources(root, app):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _sources(root: Path, app: str) -> Iterator[Path]:
    folder = root / "functions" / app
    for top in (folder, root / "mailroom"):
        for path in sorted(top.rglob("*")):
            ours = path.relative_to(top).parts
            if path.is_file() and not {"__pycache__", "vendor", "deployments"} & set(ours):
                yield path
