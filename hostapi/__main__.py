"""`python -m hostapi`: the HTTP API on a host. `functions/api` must be on the Python path."""

import os
import sys

from egress.limits import apply_process_limits, read_process_limits
from mailroom.settings import SettingsError


def main() -> int:
    """Run until told to stop; return the exit code."""
    try:
        # Before anything else is loaded: what is loaded counts.
        apply_process_limits(read_process_limits(os.environ))
        from hostapi import wiring

        return wiring.main()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
