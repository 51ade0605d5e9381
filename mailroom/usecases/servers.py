"""Make, change, suspend and find mail servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.identity import new_server_id
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.server import RESERVED_PERMALINKS, SERVER
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.domain.tenancy.permalink import permalink_of
from mailroom.domain.tenancy.record import Change, Place
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import ForbiddenError
from mailroom.usecases.registrar import Registrar, missing

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKEN = 6  # characters, as Postal has


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """The register, and the tracking host of servers without one of their own."""

    registrar: Registrar
    tracking_url: str = ""


def find_server(id_: str, registrar: Registrar) -> Resource:
    """Return a server by its id alone. Raises NotFoundError."""
    row = registrar.registry.read(Place(f"server#{id_}"))
    if row is None:
        raise missing(id_, registrar.environment)
    return registrar.read(SERVER, f"organisation#{row.body['organisation']}", id_)


def create_server(
    organisation: str, fields: Mapping[str, Any], *, actor: Actor, ports: ServerPorts
) -> Resource:
    """Make a server in an organisation.

    Raises NotFoundError for an organisation there is not, AlreadyExistsError for a taken
    permalink, token or external id, TooManyError.
    """
    registrar = ports.registrar
    owner = registrar.read(ORGANISATION, PLATFORM, organisation)
    permalink = permalink_of(
        fields.get("permalink") or fields["name"], reserved=RESERVED_PERMALINKS
    )
    id_ = fields.get("id") or new_server_id(
        chance=registrar.chance, environment=registrar.environment
    )
    whole = {
        **{name: value for name, value in fields.items() if name != "id"},
        "permalink": permalink,
        "token": fields.get("token") or _token(registrar),
        "organisation_permalink": owner.fields["permalink"],
        "time_zone": owner.fields.get("time_zone", "UTC"),
        "suspended": None,
        "suspended_by": None,
    }
    return registrar.create(
        SERVER,
        f"organisation#{organisation}",
        tracked(whole, ports.tracking_url),
        actor=actor,
        organisation=organisation,
        id_=id_,
        beside=_streams(f"server#{id_}", organisation, actor, registrar),
    )


def _streams(
    server: str, organisation: str, actor: Actor, registrar: Registrar
) -> Sequence[Change]:
    """Return the changes that give a new server the streams every one has."""
    now = registrar.clock.now()
    built_in = (
        Resource("stream", server, name, fields, organisation, created_at=now, updated_at=now)
        for name, fields in BUILT_IN.items()
    )
    return [change for each in built_in for change in registrar.creation(STREAM, each, actor)]


def change_server(
    server: Resource, given: Mapping[str, Any], *, actor: Actor, ports: ServerPorts
) -> Resource:
    """Change what `given` names. Raises RevisionError, AlreadyExistsError."""
    fields = tracked({**server.fields, **given}, ports.tracking_url)
    return ports.registrar.update(SERVER, server, fields, actor=actor)


def suspend_server(
    server: Resource, reason: str, *, by_platform: bool, actor: Actor, registrar: Registrar
) -> Resource:
    """Stop a server: it accepts nothing, and what waits is held.

    Raises ForbiddenError when the platform has suspended it and somebody else gives a reason.
    """
    _require_own(server, by_platform=by_platform)
    by = "platform" if by_platform else "organisation"
    fields = {**server.fields, "suspended": reason, "suspended_by": by}
    return registrar.update(SERVER, server, fields, actor=actor, action="suspend")


def unsuspend_server(
    server: Resource, *, by_platform: bool, actor: Actor, registrar: Registrar
) -> Resource:
    """End a suspension; what was held meanwhile stays held, as in Postal.

    Raises ForbiddenError when it is the platform's and the caller is not.
    """
    _require_own(server, by_platform=by_platform)
    fields = {**server.fields, "suspended": None, "suspended_by": None}
    return registrar.update(SERVER, server, fields, actor=actor, action="unsuspend")


def tracked(fields: Mapping[str, Any], default_url: str) -> dict[str, Any]:
    """Return the fields with `tracking` as the sending path reads it.

    A server keeps the tracking host it has; a new one gets the platform's.
    """
    kept = fields.get("tracking") or {}
    url = kept.get("base_url") or default_url
    opens, clicks = fields.get("track_opens", True), fields.get("track_clicks", True)
    tracking = {"base_url": url, "opens": opens, "clicks": clicks} if url else None
    return {**fields, "tracking": tracking}


def _require_own(server: Resource, *, by_platform: bool) -> None:
    if server.fields.get("suspended_by") == "platform" and not by_platform:
        raise ForbiddenError("the platform has suspended this server: ask its administrators")


def _token(registrar: Registrar) -> str:
    drawn = registrar.chance.bits(64)
    return "".join(_LETTERS[drawn // 26**place % 26] for place in range(TOKEN))
