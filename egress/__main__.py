"""`python -m egress PROCESS`: one of the processes of an egress host."""

import os
import sys

from egress.limits import apply_process_limits, read_process_limits
from mailroom.settings import SettingsError

PROCESSES = ("sender", "submission")


def main(arguments: list[str]) -> int:
    """Run the named process until it is told to stop; return its exit code.

    Each process imports only its own parts: the other one's must not cost it memory.
    """
    try:
        apply_process_limits(read_process_limits(os.environ))
        return _run(arguments)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["sender"]:
            from egress.sender import wiring as sender

            sender.main()
            return 0
        case ["submission"]:
            from egress.submission import wiring as submission

            return submission.main()
    sys.stderr.write(f"usage: python -m egress {'|'.join(PROCESSES)}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
