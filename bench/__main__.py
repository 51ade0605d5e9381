"""`./run bench [NAME] [--json]`: measure one thing, or everything."""

import argparse
import importlib
import json
import sys
from typing import Any

NAMES = ("pure", "egress", "stack")


def main(arguments: list[str]) -> int:
    """Run the named benchmarks; print JSON lines or a readable table."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("name", nargs="?", choices=(*NAMES, "all"), default="all")
    parser.add_argument("--json", action="store_true", help="one JSON object a benchmark")
    parser.add_argument("--messages", type=int, default=0, help="how many messages to send")
    options = parser.parse_args(arguments)
    for name in NAMES if options.name == "all" else (options.name,):
        module = importlib.import_module(f"bench.{name}")
        result: dict[str, Any] = module.measure(options.messages)
        if options.json:
            print(json.dumps({"bench": name, **result}))
        else:
            print(f"== {name}")
            _table(result)
    return 0


def _table(result: dict[str, Any], indent: str = "  ") -> None:
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{key}:")
            _table(value, indent + "  ")
        else:
            print(f"{indent}{key}: {value}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
