"""Rows of Postal's main database become an `Installation`; bad rows become complaints.

What was deleted (`deleted_at`) is left out, and with it all that hangs on it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from cli.postal.cells import CellError, Cells
from cli.postal.model import (
    Address,
    Complaint,
    Credential,
    Domain,
    Endpoint,
    Installation,
    Link,
    Organisation,
    Pool,
    PoolRule,
    Route,
    Server,
    Suppression,
    TrackDomain,
    Webhook,
)
from cli.postal.source import Source

T = TypeVar("T")
Rows = dict[str, list[Cells]]
KINDS = {"HTTPEndpoint": "http", "SMTPEndpoint": "smtp", "AddressEndpoint": "address"}


def read_installation(source: Source, *, dkim_identifier: str = "postal") -> Installation:
    """Read everything but the message databases. Raises UsageError for a broken source.

    `dkim_identifier` is what the installation's selectors begin with (`dns.dkim_identifier`).
    """
    rows: Rows = defaultdict(list)
    for table, row in source.main():
        rows[table].append(Cells(row))
    complaints: list[Complaint] = []

    def made(table: str, make: Callable[[Cells], T]) -> tuple[T, ...]:
        return tuple(_made(rows[table], table, make, complaints))

    alive = [o for o in rows["organizations"] if not o.text("deleted_at")]
    rows["organizations"] = alive
    kept = {cells.number("id") for cells in alive}
    rows["servers"] = [
        server
        for server in rows["servers"]
        if not server.text("deleted_at") and server.number("organization_id") in kept
    ]
    _drop_orphans(rows)
    events = _events(rows["webhook_events"])
    more = _more_endpoints(rows["additional_route_endpoints"])
    return Installation(
        organisations=made("organizations", _organisation),
        servers=made("servers", _server),
        domains=made("domains", lambda cells: _domain(cells, dkim_identifier)),
        track_domains=made("track_domains", _track_domain),
        credentials=made("credentials", _credential),
        endpoints=(
            *made("http_endpoints", _http_endpoint),
            *made("smtp_endpoints", _smtp_endpoint),
            *made("address_endpoints", _address_endpoint),
        ),
        routes=made("routes", lambda cells: _route(cells, more)),
        webhooks=made("webhooks", lambda cells: _webhook(cells, events)),
        pools=made("ip_pools", _pool),
        addresses=made("ip_addresses", _address),
        rules=made("ip_pool_rules", _rule),
        shared_pools=made(
            "organization_ip_pools", lambda c: (c.id("organization_id"), c.id("ip_pool_id"))
        ),
        complaints=tuple(complaints),
    )


def read_suppressions(source: Source) -> Iterator[Suppression | Complaint]:
    """Yield the suppressions of all servers, and the rows that cannot be used."""
    for server, row in source.messages("suppressions"):
        cells = Cells(row)
        try:
            yield Suppression(
                server=server,
                address=cells.need("address"),
                reason=cells.text("reason"),
                added_at=cells.time("timestamp") or 0.0,
                until=cells.time("keep_until"),
            )
        except CellError as error:
            yield Complaint("suppressions", f"{server}/{cells.text('id')}", str(error))


def read_links(source: Source) -> Iterator[Link | Complaint]:
    """Yield the tracked links of all servers, and the rows that cannot be used."""
    for server, row in source.messages("links"):
        cells = Cells(row)
        try:
            yield Link(server, cells.need("token"), cells.need("url"))
        except CellError as error:
            yield Complaint("links", f"{server}/{cells.text('id')}", str(error))


def _made(
    rows: Iterable[Cells], table: str, make: Callable[[Cells], T], complaints: list[Complaint]
) -> Iterator[T]:
    for cells in rows:
        try:
            yield make(cells)
        except CellError as error:
            complaints.append(Complaint(table, cells.text("id"), str(error)))


def _drop_orphans(rows: Rows) -> None:
    """Leave out what belongs to a server or organisation that is not there any more."""
    servers = {cells.number("id") for cells in rows["servers"]}
    organisations = {cells.number("id") for cells in rows["organizations"]}

    def has_owner(cells: Cells) -> bool:
        number = cells.number("owner_id")
        return number in (servers if cells.text("owner_type") == "Server" else organisations)

    for table in (
        "track_domains", "credentials", "http_endpoints", "smtp_endpoints", "address_endpoints",
        "routes", "webhooks",
    ):  # fmt: skip
        rows[table] = [c for c in rows[table] if c.number("server_id") in servers]
    for table in ("domains", "ip_pool_rules"):
        rows[table] = [c for c in rows[table] if has_owner(c)]
    shared = rows["organization_ip_pools"]
    rows["organization_ip_pools"] = [
        c for c in shared if c.number("organization_id") in organisations
    ]


def _events(rows: Sequence[Cells]) -> dict[int | None, list[str]]:
    found: dict[int | None, list[str]] = defaultdict(list)
    for cells in rows:
        found[cells.number("webhook_id")].append(cells.text("event"))
    return found


def _more_endpoints(rows: Sequence[Cells]) -> dict[int | None, list[tuple[str, int]]]:
    found: dict[int | None, list[tuple[str, int]]] = defaultdict(list)
    for cells in rows:
        kind, number = KINDS.get(cells.text("endpoint_type")), cells.number("endpoint_id")
        if kind is not None and number is not None:
            found[cells.number("route_id")].append((kind, number))
    return found


def _suspended(cells: Cells) -> str | None:
    if not cells.text("suspended_at"):
        return None
    return cells.text("suspension_reason", "suspended in Postal")


def _organisation(cells: Cells) -> Organisation:
    return Organisation(
        number=cells.id(),
        name=cells.need("name"),
        permalink=cells.need("permalink"),
        time_zone=cells.text("time_zone", "UTC"),
        pool=cells.number("ip_pool_id"),
        suspended=_suspended(cells),
    )


def _server(cells: Cells) -> Server:
    return Server(
        number=cells.id(),
        organisation=cells.id("organization_id"),
        name=cells.need("name"),
        permalink=cells.need("permalink"),
        token=cells.need("token").lower(),
        mode=cells.text("mode", "Live"),
        send_limit=cells.number("send_limit"),
        message_days=cells.number("message_retention_days"),
        raw_days=cells.number("raw_message_retention_days"),
        privacy=cells.truth("privacy_mode"),
        allow_sender=cells.truth("allow_sender"),
        postmaster=cells.text("postmaster_address") or None,
        pool=cells.number("ip_pool_id"),
        suspended=_suspended(cells),
    )


def _domain(cells: Cells, dkim_identifier: str) -> Domain:
    number, is_server = cells.id("owner_id"), cells.text("owner_type") == "Server"
    letters = cells.text("dkim_identifier_string")  # without what all selectors begin with
    return Domain(
        number=cells.id(),
        name=cells.need("name").lower(),
        server=number if is_server else None,
        organisation=None if is_server else number,
        verified=bool(cells.text("verified_at")),
        verification_token=cells.text("verification_token"),
        selector=f"{dkim_identifier}-{letters}" if letters else "",
        dkim_key=cells.text("dkim_private_key"),
        return_path_ok=cells.text("return_path_status") == "OK",
        use_for_any=cells.truth("use_for_any"),
    )


def _track_domain(cells: Cells) -> TrackDomain:
    return TrackDomain(
        number=cells.id(),
        server=cells.id("server_id"),
        domain=cells.id("domain_id"),
        name=cells.need("name"),
        ssl=cells.truth("ssl_enabled", otherwise=True),
        clicks=cells.truth("track_clicks", otherwise=True),
        opens=cells.truth("track_loads", otherwise=True),
        excluded=cells.lines("excluded_click_domains"),
    )


def _credential(cells: Cells) -> Credential:
    return Credential(
        number=cells.id(),
        server=cells.id("server_id"),
        kind=cells.need("type"),
        name=cells.text("name", "imported"),
        key=cells.need("key"),
        hold=cells.truth("hold"),
    )


def _http_endpoint(cells: Cells) -> Endpoint:
    return Endpoint(
        number=cells.id(),
        server=cells.id("server_id"),
        kind="http",
        name=cells.text("name", "imported"),
        settings={
            "url": cells.need("url"),
            "encoding": cells.text("encoding", "BodyAsJSON"),
            "format": cells.text("format", "Hash"),
            "strip_replies": cells.truth("strip_replies"),
            "include_attachments": cells.truth("include_attachments", otherwise=True),
            "timeout": cells.number("timeout") or 5,
        },
    )


def _smtp_endpoint(cells: Cells) -> Endpoint:
    return Endpoint(
        number=cells.id(),
        server=cells.id("server_id"),
        kind="smtp",
        name=cells.text("name", "imported"),
        settings={
            "hostname": cells.need("hostname"),
            "port": cells.number("port") or 25,
            "ssl_mode": cells.text("ssl_mode", "Auto"),
        },
    )


def _address_endpoint(cells: Cells) -> Endpoint:
    address = cells.need("address")
    return Endpoint(cells.id(), cells.id("server_id"), "address", address, {"address": address})


def _route(cells: Cells, more: dict[int | None, list[tuple[str, int]]]) -> Route:
    kind, number = KINDS.get(cells.text("endpoint_type")), cells.number("endpoint_id")
    own = [] if kind is None or number is None else [(kind, number)]
    return Route(
        number=cells.id(),
        server=cells.id("server_id"),
        name=cells.need("name"),
        domain=cells.number("domain_id"),
        mode=cells.text("mode", "Endpoint"),
        spam_mode=cells.text("spam_mode", "Mark"),
        token=cells.text("token"),
        endpoints=(*own, *more.get(cells.id(), ())),
    )


def _webhook(cells: Cells, events: dict[int | None, list[str]]) -> Webhook:
    return Webhook(
        number=cells.id(),
        server=cells.id("server_id"),
        name=cells.text("name", "imported"),
        url=cells.need("url"),
        enabled=cells.truth("enabled", otherwise=True),
        all_events=cells.truth("all_events"),
        events=tuple(sorted(set(events.get(cells.id(), ())))),
    )


def _pool(cells: Cells) -> Pool:
    return Pool(cells.id(), cells.need("name"), cells.truth("default"))


def _address(cells: Cells) -> Address:
    priority = cells.number("priority")
    return Address(
        number=cells.id(),
        pool=cells.id("ip_pool_id"),
        ipv4=cells.text("ipv4"),
        ipv6=cells.text("ipv6"),
        hostname=cells.text("hostname"),
        priority=100 if priority is None else priority,
    )


def _rule(cells: Cells) -> PoolRule:
    number, is_server = cells.id("owner_id"), cells.text("owner_type") == "Server"
    return PoolRule(
        number=cells.id(),
        pool=cells.id("ip_pool_id"),
        server=number if is_server else None,
        organisation=None if is_server else number,
        senders=cells.lines("from_text"),
        recipients=cells.lines("to_text"),
    )
