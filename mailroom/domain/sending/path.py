"""Where mail goes from where: the unit to which receivers hold us."""

from typing import NamedTuple


class Site(NamedTuple):
    """Receiving hosts that count as one: a provider's, or the best mail exchangers of a domain.

    `key` is stored and shown; never change how it is made. `provider` is "other" for a site that
    belongs to nobody in particular.
    """

    key: str
    provider: str = "other"


class PathKey(NamedTuple):
    """One of our source addresses (its id) towards one site (its key)."""

    address: str
    site: str

    def __str__(self) -> str:
        return f"{self.address}>{self.site}"
