"""`./run test`, `lint`, `bench`, `package` and `plan`: other programs, called the right way."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from localstack.builds import BuildError, build_all, write_manifest
from localstack.resources import load_resources

SELECTIONS: Mapping[str, tuple[str, ...]] = {
    "unit": ("-n", "2", "tests/unit"),
    "fast": ("-m", "not emulator and not stack and not peers and not clients"),
    "peers": ("-m", "peers or clients"),
    "clients": ("-m", "clients"),
    "all": (),
}
EVERYDAY = ("-m", "not peers and not clients")
# Both cores for what runs by itself; a whole platform has them to itself.
EVERYDAY_PARTS = (
    ("-n", "2", "-m", "not stack and not peers and not clients"),
    ("-m", "stack and not peers and not clients"),
)
LINTERS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


def test(options: Namespace, environment: Mapping[str, str]) -> int:
    """Run the linters and every test that needs nothing but Python, or one selection of tests."""
    if options.selection:
        parts: Sequence[Sequence[str]] = [SELECTIONS[options.selection]]
    else:
        parts = [EVERYDAY] if options.arguments else EVERYDAY_PARTS
    codes = [] if options.selection else [lint(options, environment)]
    for part in parts:
        pytest = ("-m", "pytest", *part, *options.arguments)
        codes.append(_python(options.root, environment, pytest))
    return next((code for code in codes if code), 0)


def lint(options: Namespace, environment: Mapping[str, str]) -> int:
    """Run all linters and say which complained; 1 if any did."""
    failed = []
    rooms = [options.root, *sorted((options.root / "functions").glob("*"))]
    environment = {**environment, "PYTHONPATH": os.pathsep.join(map(str, rooms))}
    for command in LINTERS:
        program = str(Path(sys.executable).with_name(command[0]))
        if _run(options.root, environment, [program, *command[1:]]):
            failed.append(" ".join(command))
    for command_line in failed:
        sys.stderr.write(f"{command_line}: failed\n")
    return 1 if failed else 0


def bench(options: Namespace, environment: Mapping[str, str]) -> int:
    """Run one benchmark, or list them."""
    return _python(options.root, environment, ("-m", "bench", *options.arguments))


def package(options: Namespace, environment: Mapping[str, str]) -> int:
    """Build the Lambda zips and print where they are."""
    try:
        zips = build_all(
            options.root, options.output.resolve(), load_resources(options.root), environment
        )
    except BuildError as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    write_manifest(options.output, zips)
    for app, path in zips.items():
        sys.stdout.write(f"{app:<12} {path} {path.stat().st_size:,} octets\n")
    return 0


def plan(options: Namespace, environment: Mapping[str, str]) -> int:
    """Package, then show what Terraform would change."""
    if package(options, environment):
        return 1
    folder = options.root / "infra" / "terraform"
    variables = {**environment, "TF_VAR_zips_file": str(options.output.resolve() / "zips.json")}
    for arguments in (["init", "-input=false"], ["plan", *options.arguments]):
        try:
            code = _run(folder, variables, ["terraform", *arguments])
        except FileNotFoundError:
            sys.stderr.write("terraform is not on the path.\n")
            return 1
        if code:
            return code
    return 0


def _python(root: Path, environment: Mapping[str, str], arguments: Sequence[str]) -> int:
    return _run(root, environment, [sys.executable, *arguments])


def _run(folder: Path, environment: Mapping[str, str], command: Sequence[str]) -> int:
    done = subprocess.run(command, cwd=folder, env=dict(environment), check=False)  # noqa: S603
    return done.returncode
