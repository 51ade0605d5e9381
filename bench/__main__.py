"""`./run bench [NAME] [--json] [--quick]`: measure one thing, or everything."""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from bench.line import Line

NAMES = ("pure", "day", "waiting", "api", "intake", "egress", "stack")
QUICK = ("intake", "egress")  # those that can run with a handful of messages


def main(arguments: list[str]) -> int:
    """Run the named benchmarks; print JSON lines or a readable table."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=(*NAMES, "all"), default="all")
    parser.add_argument("--json", action="store_true", help="one JSON object a benchmark")
    parser.add_argument("--messages", type=int, default=0, help="how many messages to send")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a handful of messages: shows that it works, the figures mean nothing",
    )
    options = parser.parse_args(arguments)
    if options.messages < 0:
        parser.error("--messages must be positive")
    if options.quick and options.name not in QUICK:
        parser.error(f"--quick goes with {' or '.join(QUICK)}")
    for name in NAMES if options.name == "all" else (options.name,):
        module = importlib.import_module(f"bench.{name}")
        quick = {"quick": True} if options.quick else {}
        result: dict[str, Any] = module.measure(options.messages, **quick)
        if options.json:
            print(json.dumps({"bench": name, **_plain(result)}))
        else:
            print(f"== {name}")
            _table(result)
    return 0


def _plain(result: dict[str, Any]) -> dict[str, Any]:
    lines: Sequence[Line] = result.get("lines", ())
    return {**result, "lines": [line.as_json() for line in lines]} if lines else result


def _table(result: dict[str, Any], indent: str = "  ") -> None:
    for key, value in result.items():
        if key == "lines":
            for line in value:
                for text in line.as_text():
                    print(indent + text)
        elif isinstance(value, dict):
            print(f"{indent}{key}:")
            _table(value, indent + "  ")
        elif isinstance(value, list):
            for entry in value:
                print(f"{indent}{key}: {entry}")
        else:
            print(f"{indent}{key}: {value}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
