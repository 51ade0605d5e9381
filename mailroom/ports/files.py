"""Files that people bring and fetch: imports, exports, reports of errors."""

from typing import Protocol


class Files(Protocol):
    """Objects in the store of bodies. Those that are gone raise KeyError."""

    def size(self, key: str) -> int:
        """Return how many octets a file has."""

    def read(self, key: str, start: int, length: int) -> bytes:
        """Return up to `length` octets from `start` on, none behind the end."""

    def put(self, key: str, octets: bytes, content_type: str) -> None:
        """Store a file, in the place of one that is there. Durable when it returns."""

    def delete(self, key: str) -> None:
        """Delete a file; one that is not there is no mistake."""

    def upload_link(self, key: str, size: int, seconds: int) -> str:
        """Return a URL to which exactly `size` octets can be PUT for that long."""

    def download_link(self, key: str, name: str, seconds: int) -> str:
        """Return a URL from which the file can be fetched under `name` for that long."""
