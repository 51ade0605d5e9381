"""What Postal's message databases hold, in batches: old tracking links."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cli.postal.model import Complaint, Installation, Link
from mailroom.domain.legacy_link import LegacyLink
from mailroom.ports.legacy_links import LegacyLinks

_MAX_COMPLAINTS = 100  # that are shown; the rest is counted


@dataclass
class Tally:
    """How many rows were taken, how many were not, and why the first of those."""

    taken: int = 0
    refused: int = 0
    complaints: list[Complaint] = field(default_factory=list)

    def refuse(self, complaint: Complaint) -> None:
        """Count a row that cannot be used."""
        self.refused += 1
        if len(self.complaints) < _MAX_COMPLAINTS:
            self.complaints.append(complaint)


def import_links(
    links: Iterable[Link | Complaint],
    postal: Installation,
    store: LegacyLinks | None,
    *,
    until: float,
) -> Tally:
    """Write the links of servers that are imported; without a `store` they are only counted.

    `until` (Unix seconds) is when they are forgotten.
    """
    tokens = {server.number: server.token for server in postal.servers}
    tally = Tally()
    good = _usable(links, tokens, tally)
    if store is None:
        tally.taken = sum(1 for _ in good)
    else:
        tally.taken = store.put(good, until=until)
    return tally


def _usable(
    links: Iterable[Link | Complaint], tokens: Mapping[int, str], tally: Tally
) -> Iterator[LegacyLink]:
    for link in links:
        if isinstance(link, Complaint):
            tally.refuse(link)
            continue
        if link.server not in tokens:
            tally.refuse(Complaint("links", link.token, f"there is no server {link.server}"))
            continue
        try:
            yield LegacyLink(tokens[link.server], link.token, link.url)
        except ValueError as error:
            tally.refuse(Complaint("links", f"{link.server}/{link.token}", str(error)))
