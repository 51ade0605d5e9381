"""`python -m localstack COMMAND`: what `./run` becomes when the environment is there."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from localstack.config import DELAY_DIVISOR

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    own, rest = _split(arguments)
    options = _parser().parse_args(own)
    options.root = ROOT
    options.arguments = [*getattr(options, "arguments", []), *rest]
    try:
        return _command(options)
    except KeyboardInterrupt:
        return 130


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take apart what is ours and what stands after `--`."""
    if arguments and arguments[0] in ("bench", "plan"):
        return [arguments[0]], [a for a in arguments[1:] if a != "--"]
    if "--" not in arguments:
        return list(arguments), []
    at = list(arguments).index("--")
    return list(arguments[:at]), list(arguments[at + 1 :])


def _command(options: Namespace) -> int:
    # The imports are here because `test` and `lint` need nothing of the stack's.
    environment = dict(os.environ)
    if options.command in ("up", "down", "status", "logs"):
        from localstack import commands

        simple: dict[str, Callable[[Namespace], int]] = {
            "down": commands.down,
            "status": commands.status,
            "logs": commands.logs,
        }
        if options.command in simple:
            return simple[options.command](options)
        return commands.up(options, environment)
    from localstack import checks

    tools = {
        "test": checks.test,
        "lint": checks.lint,
        "bench": checks.bench,
        "package": checks.package,
        "plan": checks.plan,
    }
    return tools[options.command](options, environment)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="./run")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    kept = ROOT / ".mailroom"
    up = commands.add_parser("up", help="start the whole platform on this machine")
    up.add_argument("--detach", action="store_true", help="return when it is ready")
    up.add_argument("--ports", choices=("fixed", "auto"), default="fixed")
    up.add_argument("--delay-divisor", type=float, default=DELAY_DIVISOR, metavar="N")
    up.add_argument("--pools", action="store_true", help="send from pools of several addresses")
    down = commands.add_parser("down", help="stop it")
    status = commands.add_parser("status", help="say what runs and where")
    status.add_argument("--json", action="store_true")
    logs = commands.add_parser("logs", help="show the log of one process, or list them")
    logs.add_argument("name", nargs="?")
    logs.add_argument("-f", "--follow", action="store_true")
    for command in (up, down, status, logs):
        command.add_argument("--state", type=Path, default=kept / "state", metavar="DIR")
    test = commands.add_parser("test", help="run the tests; what stands after -- goes to pytest")
    test.add_argument("selection", nargs="?", choices=("unit", "fast", "peers", "clients", "all"))
    commands.add_parser("lint", help="ruff, mypy and the import rules")
    commands.add_parser("bench", help="measure")
    package = commands.add_parser("package", help="build the Lambda zips")
    plan = commands.add_parser("plan", help="package, then terraform plan")
    for command in (package, plan):
        command.add_argument("--output", type=Path, default=kept / "builds", metavar="DIR")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
