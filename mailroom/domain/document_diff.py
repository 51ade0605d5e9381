"""What is different in one JSON document than in another, in lines that a person reads.

Members of lists that have an `id` are compared by it; other lists are compared as a whole.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_LINES = 2_000
_MAX_VALUE = 120
_GONE = object()


def diff_documents(old: Any, new: Any) -> Sequence[str]:
    """Return lines `path: old -> new`, `+ path: new` and `- path: old`, in the order of paths.

    After 2,000 lines one says that there are more.
    """
    lines: list[str] = []
    for line in _lines("", old, new):
        if len(lines) == MAX_LINES:
            lines.append("... and more")
            break
        lines.append(line)
    return lines


def _lines(path: str, old: Any, new: Any) -> Iterator[str]:
    before, after = _members(old), _members(new)
    if before is not None and after is not None:
        for name in sorted(before.keys() | after.keys()):
            below = f"{path}.{name}" if path else name
            yield from _lines(below, before.get(name, _GONE), after.get(name, _GONE))
        if list(before) != list(after) and before.keys() == after.keys() and _is_list(old):
            yield f"{path}: other order"
    elif old is _GONE:
        yield from _all("+", path, new)
    elif new is _GONE:
        yield from _all("-", path, old)
    elif not _same(old, new):
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


def _all(sign: str, path: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for name in sorted(map(str, value)):
            yield from _all(sign, f"{path}.{name}", value[name])
    else:
        yield f"{sign} {path}: {_shown(value)}"


def _members(value: Any) -> Mapping[str, Any] | None:
    """Return the named parts of an object, or of a list of objects with ids."""
    if isinstance(value, Mapping):
        return {str(name): each for name, each in value.items()}
    if _is_list(value) and value and all(isinstance(e, Mapping) and "id" in e for e in value):
        named = {str(each["id"]): each for each in value}
        return named if len(named) == len(value) else None
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _same(old: Any, new: Any) -> bool:
    return bool(old == new) and isinstance(old, bool) is isinstance(new, bool)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."
