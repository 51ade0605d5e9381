"""How a wake-up of a job is written in its queue."""

import json

_MAX_ID = 64


def dump_job_wake_up(id_: str) -> str:
    """Write a wake-up as the body of a queue message."""
    return json.dumps({"v": 1, "job": id_})


def load_job_wake_up(body: str) -> str:
    """Return the id of the job to work on. Raises ValueError, KeyError or TypeError."""
    id_ = json.loads(body)["job"]
    if not isinstance(id_, str) or not 0 < len(id_) <= _MAX_ID:
        raise ValueError("no job is called that")
    return id_
