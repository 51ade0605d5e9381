"""What there is to send from."""

from typing import Protocol

from mailroom.domain.sending.source import Fleet


class Sources(Protocol):
    """The pools and addresses that the platform manages."""

    def read(self) -> Fleet:
        """Return all of them, a moment old at most. A host's own address is not among them."""
