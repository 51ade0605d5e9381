"""Starts the embedded emulator with one of its gaps closed. Runs in the emulator's environment.

MiniStack 1.5.33 does not put items changed by PartiQL on the table's stream; DynamoDB does, and
the sender's verdicts travel that way. The wrapper calls MiniStack's own update and, when it
worked, its own stream function. Started as `python -P localstack/emulator.py`.
"""

import copy
from collections.abc import Callable
from typing import Any

Table = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]


def telling(
    update: Callable[..., Response],
    key_of: Callable[[Table, dict[str, Any]], tuple[Any, ...]],
    emit: Callable[[str, str, Any, Any], None],
) -> Callable[..., Response]:
    """Return `update` (PartiQL UPDATE) made to tell `emit` what it changed."""

    def update_and_tell(
        table: Table, parsed: dict[str, Any], data: dict[str, Any] | None = None
    ) -> Response:
        hash_value, range_value, *_ = key_of(table, parsed)
        before = copy.deepcopy(table["items"].get(hash_value, {}).get(range_value))
        response = update(table, parsed, data)
        if response[0] == 200 and before is not None:
            after = table["items"][hash_value][range_value]
            emit(parsed["table"], "MODIFY", before, copy.deepcopy(after))
        return response

    return update_and_tell


def main() -> None:
    """Close the gap and run the emulator; its settings come from the environment."""
    from ministack.app import main as run
    from ministack.services import dynamodb

    dynamodb._partiql_update = telling(  # noqa: SLF001 - pinned version, no hook exists
        dynamodb._partiql_update,  # noqa: SLF001
        dynamodb._partiql_key_target,  # noqa: SLF001
        dynamodb._emit_stream_event,  # noqa: SLF001
    )
    run()


if __name__ == "__main__":
    main()
