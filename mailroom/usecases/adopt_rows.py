"""The migration of release 0.1's directory: rows the sending path reads become resources.

That release had rows of servers, credentials, domains and webhooks that nobody could list or
change. Each gets the resource it would have been made of; ids, secrets and keys stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailroom.domain.dns.dkim_rotation import DkimKey, KeyState, Origin
from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.credential import CREDENTIAL
from mailroom.domain.tenancy.kinds.domain import DOMAIN, PSRP, with_key_ring
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK
from mailroom.domain.tenancy.permalink import permalink_of
from mailroom.domain.tenancy.record import ABSENT, Change, Place, Record
from mailroom.domain.tenancy.resource import (
    PLATFORM,
    Resource,
    ResourceKind,
    dump_resource,
    guard_place,
    place_of,
)
from mailroom.domain.tenancy.spelling import load_credential
from mailroom.errors import NotFoundError
from mailroom.ports.dns import DkimKeys
from mailroom.ports.migration import Batch, Walk
from mailroom.ports.registry import Keyring
from mailroom.usecases.domain_checks import first_watch
from mailroom.usecases.registrar import Registrar

_ACTOR = Actor("platform", "migrate", "mailroom migrate")
_TYPES = {"api": "API", "smtp": "SMTP", "smtp-ip": "SMTP-IP"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class AdoptPorts:
    """The register, the walk over its table, and what opens and reads DKIM keys.

    `verification_prefix` is what ownership records of the adopted domains begin with.
    """

    registrar: Registrar
    walk: Walk
    keyring: Keyring
    keys: DkimKeys
    verification_prefix: str = "mailroom-verification"


class AdoptRows:
    """A `Work` over Records of the directory table."""

    name = "resources"

    def __init__(self, ports: AdoptPorts) -> None:
        self._ports = ports
        self._registrar = ports.registrar

    def batch(self, part: int, of: int, after: str) -> Batch:
        """See Work.batch."""
        return self._ports.walk.batch(part, of, after)

    def plan(self, item: Record) -> Sequence[Change] | None:
        """See Work.plan. The changes of one row go together."""
        kind = item.place.partition.partition("#")[0]
        adopt = self._by_partition.get(kind)
        return adopt(item) if adopt else None

    def apply(self, planned: Sequence[Change]) -> None:
        """See Work.apply."""
        self._registrar.registry.write(planned)

    @property
    def _by_partition(self) -> Mapping[str, Callable[[Record], Sequence[Change] | None]]:
        return {
            "server": self._server_row,
            "organisation": self._webhook,
            "credential": self._credential,
            "network": self._credential,
            "domain": self._domain,
        }

    def _server_row(self, row: Record) -> Sequence[Change] | None:
        if row.place.sort == "-":
            return self._server(row)
        return self._webhook(row)

    def _server(self, row: Record) -> Sequence[Change] | None:
        body, id_ = row.body, row.place.partition.removeprefix("server#")
        organisation = str(body["organisation"])
        parent = f"organisation#{organisation}"
        if self._is_there(SERVER, parent, id_):
            return None
        tracking, hour = body.get("tracking"), body.get("send_limit")
        fields = {
            **{name: value for name, value in body.items() if name != "send_limit"},
            "organisation_permalink": organisation,
            "track_opens": bool(tracking and tracking["opens"]),
            "track_clicks": bool(tracking and tracking["clicks"]),
            "limits": {"hour": hour, "day": None, "month": None, "action": "hold"},
            "suspended_by": "platform" if body.get("suspended") else None,
        }
        del fields["organisation"]
        server = self._resource(SERVER, parent, id_, fields, organisation)
        return [
            *self._organisation(organisation),
            *self._adopted(SERVER, server, row),
            *self._streams(server.owner, organisation),
        ]

    def _organisation(self, id_: str) -> Sequence[Change]:
        """Return the changes that make an organisation of its bare name, if it is not there."""
        if self._is_there(ORGANISATION, PLATFORM, id_):
            return ()
        fields = {
            "name": id_,
            "permalink": permalink_of(id_, reserved=()),
            "time_zone": "UTC",
            "suspended": None,
            "default_pool": None,
        }
        made = self._resource(ORGANISATION, PLATFORM, id_, fields, id_)
        return self._registrar.creation(ORGANISATION, made, _ACTOR)

    def _streams(self, server: str, organisation: str) -> Sequence[Change]:
        missing = (name for name in BUILT_IN if not self._is_there(STREAM, server, name))
        made = (
            self._resource(STREAM, server, name, BUILT_IN[name], organisation) for name in missing
        )
        return [
            change for each in made for change in self._registrar.creation(STREAM, each, _ACTOR)
        ]

    def _credential(self, row: Record) -> Sequence[Change] | None:
        kind = _TYPES.get(row.body.get("kind", ""))
        if kind is None:
            return None  # a key of the platform, of an organisation or of a person
        credential = load_credential(dict(row.body))
        parent = f"server#{credential.server}"
        if self._is_there(CREDENTIAL, parent, credential.id):
            return None
        fields: dict[str, Any] = {
            "name": credential.name,
            "type": kind,
            "hold": credential.hold,
            "cram": credential.cram,
            "scopes": sorted(credential.scopes),
            "networks": list(credential.networks),
            "expires_at": credential.expires_at,
            "stream": credential.stream or None,
            **self._secret(row, parent, credential.id, cram=credential.cram),
        }
        organisation = self._organisation_of(parent)
        made = self._resource(CREDENTIAL, parent, credential.id, fields, organisation)
        return self._adopted(CREDENTIAL, made, row)

    def _secret(self, row: Record, parent: str, id_: str, *, cram: bool) -> dict[str, Any]:
        """Return what a credential keeps of its secret, which nobody here knows."""
        before, _, value = row.place.partition.partition("#")
        if before == "network":
            return {"network": value}
        kept = {"secret_hash": value, "hint": "", "old_secret_hash": None, "old_until": None}
        kept["rotated_at"] = None
        if cram:
            wrapped = self._registrar.registry.read(Place(parent, f"cram#{id_}"))
            kept["cram_wrapped"] = wrapped.secret.hex() if wrapped else None
        return kept

    def _webhook(self, row: Record) -> Sequence[Change] | None:
        if not row.place.sort.startswith("webhook#"):
            return None
        parent, id_ = row.place.partition, row.place.sort.removeprefix("webhook#")
        if self._is_there(WEBHOOK, parent, id_):
            return None
        organisation = self._organisation_of(parent)
        made = self._resource(WEBHOOK, parent, id_, {"name": id_, **row.body}, organisation)
        return self._adopted(WEBHOOK, made, row)

    def _domain(self, row: Record) -> Sequence[Change] | None:
        if "id" in row.body:
            return None
        parent, name = row.place.sort, row.place.partition.removeprefix("domain#")
        organisation, now = self._organisation_of(parent), self._registrar.clock.now()
        material = self._ports.keys.inspect(self._ports.keyring.unwrap(row.secret, parent))
        key = DkimKey(
            selector=row.body["selector"],
            kind=material.kind,
            bits=material.bits,
            public=material.public,
            state=KeyState.ACTIVE,
            created_at=now,
            since=now,
            origin=Origin.POSTAL,  # that release worded the record as Postal does
        )
        is_proven = bool(row.body["verified"])
        fields = {
            "name": name,
            "token": self._token(),
            "verification_prefix": self._ports.verification_prefix,
            "return_path_label": PSRP,
            "return_path_ok": bool(row.body["return_path_ok"]),
            "receives": False,
            "external_id": None,
            "verified_at": now if is_proven else None,
            "verified_by": "platform" if is_proven else None,
            "dns_state": "unknown",
        }
        whole = with_key_ring(fields, (key,), {key.selector: row.secret})
        id_ = self._registrar.id_for(DOMAIN)
        made = self._resource(DOMAIN, parent, id_, whole, organisation)
        return [*self._adopted(DOMAIN, made, row), *first_watch(DOMAIN, parent, id_, now)]

    def _token(self) -> str:
        drawn = self._registrar.chance.bits(192)
        return "".join(_LETTERS[drawn // 62**place % 62] for place in range(32))

    def _organisation_of(self, parent: str) -> str:
        owner, _, id_ = parent.partition("#")
        if owner == "organisation":
            return id_
        row = self._registrar.registry.read(Place(parent))
        if row is None:
            raise NotFoundError(f"{parent} is not there")
        return str(row.body["organisation"])

    def _is_there(self, kind: ResourceKind, parent: str, id_: str) -> bool:
        return self._registrar.registry.read(place_of(kind.name, parent, id_)) is not None

    def _resource(
        self,
        kind: ResourceKind,
        parent: str,
        id_: str,
        fields: Mapping[str, Any],
        organisation: str,
    ) -> Resource:
        now = self._registrar.clock.now()
        return Resource(
            kind.name, parent, id_, dict(fields), organisation, created_at=now, updated_at=now
        )

    def _adopted(self, kind: ResourceKind, made: Resource, row: Record) -> Sequence[Change]:
        """Return the changes that make a resource whose runtime rows are there already.

        Only the row it was made of is guarded by its revision; others are what they were.
        """
        runtime = kind.runtime(made)
        return [
            Change.put(Record(made.place, dump_resource(made), secret=made.secret), ABSENT),
            *self._guards(kind, made),
            *(Change.put(r, row.revision if r.place == row.place else None) for r in runtime),
        ]

    def _guards(self, kind: ResourceKind, made: Resource) -> Sequence[Change]:
        holder = {"parent": made.parent, "sort": made.place.sort}
        found = ((rule.name, rule.value(made.parent, made.fields)) for rule in kind.unique)
        return [
            Change.put(Record(guard_place(kind.name, name, value), holder), ABSENT)
            for name, value in found
            if value is not None
        ]
