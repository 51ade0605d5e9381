"""One structured line per invocation, for people and for counting."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter


@contextmanager
def log_line(function: str, **known: object) -> Iterator[dict[str, object]]:
    """Write one JSON line to stderr when the block ends; what it puts into the dict is in it.

    `ms` is how long the block took; `error` names the exception that left it, if one did.
    Values must be short and hold no secret.
    """
    fields: dict[str, object] = {"function": function, **known}
    started = perf_counter()
    try:
        yield fields
    except Exception as error:
        fields["error"] = type(error).__name__
        raise
    finally:
        fields["ms"] = round((perf_counter() - started) * 1000, 1)
        write_line(fields)


def write_line(fields: Mapping[str, object]) -> None:
    """Write `fields` as one line to stderr, at once."""
    sys.stderr.write(json.dumps(fields, default=str) + "\n")
    sys.stderr.flush()
