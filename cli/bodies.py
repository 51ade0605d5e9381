"""Bodies of calls from command lines: `--data @file.json`, then options, then `--set a.b=c`."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.errors import UsageError


def read_text(argument: str) -> str:
    """Return `argument`, or what it points at: `@file`, or `-` for standard input.

    Raises UsageError for a file that cannot be read.
    """
    if argument == "-":
        return sys.stdin.read()
    if not argument.startswith("@"):
        return argument
    try:
        return Path(argument[1:]).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{argument[1:]} cannot be read: {error}") from None


def read_json(argument: str) -> Any:
    """Return the JSON of `argument` or of what it points at. Raises UsageError."""
    text = read_text(argument)
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"this is no JSON: {error}") from None


def body_of(data: str | None, fields: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return the body that the three ways of saying it make together; the later ones win.

    Raises UsageError for what is no JSON object and for a setting without `=`.
    """
    body = read_json(data) if data is not None else {}
    if not isinstance(body, dict):
        raise UsageError("--data is no JSON object")
    body |= {name: value for name, value in fields.items() if value is not None}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(path.split(".")):
            raise UsageError(f"--set {setting!r} is not of the form name.name=value")
        _put(body, path.split("."), _value(text))
    return body


def _put(body: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for name in path[:-1]:
        inner = body.setdefault(name, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {'.'.join(path)}: {name} is no object")
        body = inner
    body[path[-1]] = value


def _value(text: str) -> Any:
    # What reads as JSON is meant as JSON (5, true, null, [..]); everything else is text.
    try:
        return json.loads(text)
    except ValueError:
        return text
