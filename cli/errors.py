"""How the tool ends: exit codes, and the errors that lead to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """What the caller's shell sees; documented in docs/cli.md, never renumbered."""

    OK = 0
    REFUSED = 1  # the API said no; its code is shown
    USAGE = 2  # the command line, the configuration or an input file cannot be used
    NETWORK = 3  # nobody answered, or not in a way that makes sense
    UNFINISHED = 4  # done, but not all is well: a domain is not green, an object was not imported


class CliError(Exception):
    """Ends the tool with a plain sentence and an exit code."""

    exit_code = Exit.USAGE


class UsageError(CliError):
    """The command line, the configuration or an input file cannot be used."""


class NetworkError(CliError):
    """Nobody answered, or not in a way that makes sense."""

    exit_code = Exit.NETWORK


class UnfinishedError(CliError):
    """Something was done, but not all is well."""

    exit_code = Exit.UNFINISHED


@dataclass(frozen=True, slots=True)
class Problem:
    """One field that the API refuses: `path` as the API spells it."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API answered instead of doing it."""

    status: int
    code: str
    message: str
    request_id: str = ""
    fields: Sequence[Problem] = field(default=())

    @classmethod
    def read(cls, status: int, body: Any) -> "Refusal":
        """Read an error body `{"error": {code, message, fields, request_id}}`; total."""
        said = body.get("error") if isinstance(body, Mapping) else None
        if not isinstance(said, Mapping):
            return cls(status, f"HTTP{status}", "The API gave no reason.")
        listed = said.get("fields")
        problems = [
            Problem(str(each.get("path", "")), str(each.get("message", "")))
            for each in (listed if isinstance(listed, list) else [])
            if isinstance(each, Mapping)
        ]
        return cls(
            status,
            str(said.get("code", f"HTTP{status}")),
            str(said.get("message", "")),
            str(said.get("request_id") or ""),
            tuple(problems),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the error as the API gives it, with its status."""
        problems = [{"path": each.path, "message": each.message} for each in self.fields]
        return {
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "fields": problems,
            "request_id": self.request_id,
        }


class RefusedError(CliError):
    """The API refused."""

    exit_code = Exit.REFUSED

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code} ({refusal.status}): {refusal.message}")
        self.refusal = refusal
