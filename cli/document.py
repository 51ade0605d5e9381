"""The API's description, kept for a day for each base URL so that most commands ask nothing."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.client import Client
from cli.errors import CliError, NetworkError

PATH = "/api/v2/openapi.json"
_FRESH_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class DocumentStore:
    """A folder with one file for each platform."""

    folder: Path

    def kept(self, url: str) -> "tuple[Any, float] | None":
        """Return the kept description and when it was fetched (Unix seconds), or None."""
        try:
            path = self._path(url)
            return json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime
        except (OSError, ValueError):
            return None

    def keep(self, url: str, document: Any) -> None:
        """Keep a description; a folder that cannot be written is no trouble."""
        path = self._path(url)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".new")
            partial.write_text(json.dumps(document), encoding="utf-8")
            partial.replace(path)
        except OSError:
            return

    def _path(self, url: str) -> Path:
        return self.folder / f"openapi-{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"


def fetch(client: Client, url: str, store: DocumentStore) -> Any:
    """Ask the API for its description, and keep it. Raises CliError."""
    document = client.call("GET", PATH).body
    if not isinstance(document, dict):
        raise NetworkError("the API's description is no JSON object")
    store.keep(url, document)
    return document


def describe(client: Client, url: str, store: DocumentStore, now: float) -> Any:
    """Return the description: the kept one if it is of today, else the API's, else an old one.

    Raises CliError when there is none at all.
    """
    kept = store.kept(url)
    if kept is not None and 0 <= now - kept[1] < _FRESH_SECONDS:
        return kept[0]
    try:
        return fetch(client, url, store)
    except CliError:
        if kept is None:
            raise
        return kept[0]
