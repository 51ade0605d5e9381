"""Peers on the same machine in the same run. Without them there is no ratio, and that is said."""

import shutil
from typing import Any


def postfix_relay(port: int, count: int) -> dict[str, Any]:
    """Relay and sign `count` messages with Postfix and OpenDKIM to the sink on `port`."""
    missing = [name for name in ("postfix", "opendkim") if shutil.which(name) is None]
    if missing:
        return {"skipped": f"{' and '.join(missing)} not installed (Debian packages)"}
    return {"skipped": f"not measured ({port}, {count})"}
