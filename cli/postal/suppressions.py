"""Suppressions of Postal's servers, one call each: a call that was made before changes nothing."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cli.errors import RefusedError
from cli.postal.bulk import Tally
from cli.postal.importer import Importer
from cli.postal.model import Complaint, Installation, Suppression
from cli.postal.plan import Naming

_REASONS = {"too many hard fails": "hard_bounce", "too many soft fails": "soft_bounces"}
_OTHER = "import"


def import_suppressions(
    rows: Iterable[Suppression | Complaint],
    postal: Installation,
    naming: Naming,
    importer: Importer,
    *,
    now: float,
) -> Tally:
    """Add the suppressions of servers that were imported and that have not expired at `now`."""
    servers = {
        server.number: importer.ids[naming.id("servers", server.number)]
        for server in postal.servers
        if naming.id("servers", server.number) in importer.ids
    }
    tally = Tally()
    for row in rows:
        if isinstance(row, Complaint):
            tally.refuse(row)
        elif row.server not in servers:
            tally.refuse(Complaint("suppressions", str(row.server), "its server is not there"))
        elif row.until is None or row.until > now:
            _add(row, servers[row.server], importer, tally)
    return tally


def _add(row: Suppression, server: str, importer: Importer, tally: Tally) -> None:
    path = f"/api/v2/servers/{quote(server, safe='')}/suppressions"
    try:
        if not importer.dry:
            importer.client.call("POST", path, body=body_of(row))
    except RefusedError as error:
        tally.refuse(Complaint("suppressions", f"{row.server}/{row.address}", str(error)))
    else:
        tally.taken += 1


def body_of(row: Suppression) -> dict[str, Any]:
    """Return what is sent: Postal's two reasons are ours, anything else is an import."""
    body: dict[str, Any] = {
        "address": row.address,
        "reason": _REASONS.get(row.reason.lower(), _OTHER),
        "detail": row.reason[:1_000],
    }
    return body | ({} if row.until is None else {"expires_at": row.until})
