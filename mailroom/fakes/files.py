"""The Files port in memory, held to the contract tests of the adapter."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class MemoryFiles:
    """Files over a dictionary; links only look like some."""

    stored: dict[str, bytes] = field(default_factory=dict)

    def size(self, key: str) -> int:
        """See Files.size."""
        return len(self.stored[key])

    def read(self, key: str, start: int, length: int) -> bytes:
        """See Files.read."""
        return self.stored[key][start : start + length]

    def put(self, key: str, octets: bytes, content_type: str) -> None:
        """See Files.put."""
        self.stored[key] = octets

    def delete(self, key: str) -> None:
        """See Files.delete."""
        self.stored.pop(key, None)

    def upload_link(self, key: str, size: int, seconds: int) -> str:
        """See Files.upload_link."""
        return f"https://files.test/{key}?put={size}&for={seconds}"

    def download_link(self, key: str, name: str, seconds: int) -> str:
        """See Files.download_link."""
        return f"https://files.test/{key}?as={name}&for={seconds}"
