"""How a process of the local stack tells its parent that it listens, and where."""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def write_ready(path: Path | None, facts: Mapping[str, object]) -> None:
    """Write `facts` and this process's `pid` to `path` as JSON, all at once; None does nothing.

    The file appears complete or not at all, so whoever waits for it may read it at first sight.
    """
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"pid": os.getpid(), **facts}) + "\n", encoding="utf-8")
    draft.replace(path)
