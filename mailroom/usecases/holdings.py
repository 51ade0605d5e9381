"""What an organisation has: its servers and their streams, as far as people's data lies there."""

from collections.abc import Iterator, Sequence

from mailroom.domain.message import BROADCAST, TRANSACTIONAL, ServerId
from mailroom.domain.suppression import server_scope, stream_scope
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import deleted_prefix_of, prefix_of
from mailroom.ports.registry import Registry

_PAGE = 100
_FORMER = "former#stream#"


def records_of(registry: Registry, parent: str, prefix: str) -> Iterator[Record]:
    """Yield all records of a partition whose sort keys begin with `prefix`."""
    after = ""
    while True:
        page = registry.page(parent, prefix, limit=_PAGE, after=after)
        yield from page.records
        after = page.after
        if not after:
            return


def servers_of(registry: Registry, organisation: str) -> Sequence[ServerId]:
    """Return the servers of an organisation, those that were deleted and can be had back too."""
    parent = f"organisation#{organisation}"
    prefixes = prefix_of("server"), deleted_prefix_of("server")
    return [
        ServerId(record.place.sort.removeprefix(prefix))
        for prefix in prefixes
        for record in records_of(registry, parent, prefix)
    ]


def former_stream(server: ServerId, name: str) -> Record:
    """Return the row that remembers a deleted stream: who is suppressed in it stays so."""
    return Record(Place(f"server#{server}", f"{_FORMER}{name}"), {})


def streams_of(registry: Registry, server: ServerId) -> Sequence[str]:
    """Return the names of a server's streams, which are their ids: the two that all have, its
    own, and those it once had."""
    own = [
        record.place.sort.removeprefix(prefix)
        for prefix in (prefix_of("stream"), _FORMER)
        for record in records_of(registry, f"server#{server}", prefix)
    ]
    return list(dict.fromkeys([TRANSACTIONAL, BROADCAST, *own]))


def scopes_of_server(registry: Registry, server: ServerId) -> Sequence[str]:
    """Return every scope in which something of a server alone can be suppressed."""
    streams = (stream_scope(server, stream) for stream in streams_of(registry, server))
    return [server_scope(server), *streams]
