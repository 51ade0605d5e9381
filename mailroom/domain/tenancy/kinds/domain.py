"""Sending domains of a server, or of an organisation and so of all its servers."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.domain.dns.dkim_rotation import DkimKey, KeyRing, KeyState, Origin, published, signing
from mailroom.domain.dns.records import SendingDomain
from mailroom.domain.dns.spelling import domain_pk, dump_domain
from mailroom.domain.message import Domain, DomainKey
from mailroom.domain.tenancy.kinds.shared import EXTERNAL_ID
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique

PSRP = "psrp"


def _name(parent: str, fields: Mapping[str, Any]) -> str | None:
    return f"{parent}/{fields['name']}"


def key_ring(fields: Mapping[str, Any]) -> KeyRing:
    """Return the DKIM keys of a domain's fields, without their secrets."""
    return tuple(
        DkimKey(
            selector=each["selector"],
            kind=KeyKind(each["kind"]),
            bits=each["bits"],
            public=each["public"],
            state=KeyState(each["state"]),
            created_at=each["created_at"],
            since=each["since"],
            origin=Origin(each.get("origin", "generated")),
        )
        for each in fields["keys"]
    )


def with_key_ring(
    fields: Mapping[str, Any], keys: KeyRing, wrapped: Mapping[str, bytes] | None = None
) -> dict[str, Any]:
    """Return the fields with other keys; `wrapped` has the encrypted secrets of new ones.

    `key_states` says the same for the audit log, which shows no keys.
    """
    known = {each["selector"]: each["wrapped"] for each in fields.get("keys", ())}
    known |= {name: b64encode(secret).decode() for name, secret in (wrapped or {}).items()}
    stored = [
        {
            "selector": key.selector,
            "kind": str(key.kind),
            "bits": key.bits,
            "public": key.public,
            "state": str(key.state),
            "created_at": key.created_at,
            "since": key.since,
            "origin": str(key.origin),
            "wrapped": known[key.selector],
        }
        for key in keys
    ]
    states = {key.selector: str(key.state) for key in keys}
    return {**fields, "keys": stored, "key_states": states}


def sending_domain(fields: Mapping[str, Any]) -> SendingDomain:
    """Return a domain as far as the DNS is concerned."""
    return SendingDomain(
        name=fields["name"],
        token=fields["token"],
        keys=published(key_ring(fields)),
        verification_prefix=fields.get("verification_prefix") or "",
        return_path_label=fields.get("return_path_label") or "",
        verified=fields.get("verified_at") is not None,
        receives=fields.get("receives", False),
    )


def _runtime(resource: Resource) -> Sequence[Record]:
    fields = resource.fields
    wrapped = {each["selector"]: b64decode(each["wrapped"]) for each in fields["keys"]}
    first, *more = (key.selector for key in signing(key_ring(fields)))
    domain = Domain(
        name=fields["name"],
        owner=resource.parent,
        verified=fields.get("verified_at") is not None,
        selector=first,
        wrapped_key=wrapped[first],
        return_path_ok=fields.get("return_path_ok", False),
        return_path_label=fields.get("return_path_label") or PSRP,
        more_keys=tuple(DomainKey(name, wrapped[name]) for name in more),
    )
    body = {**dump_domain(domain), "id": resource.id}
    place = Place(domain_pk(domain.name), resource.parent)
    return [Record(place, body, secret=domain.wrapped_key)]


DOMAIN = ResourceKind(
    name="domain",
    prefix="dom",
    most=1_000,
    unique=(Unique("name", _name), EXTERNAL_ID),
    runtime=_runtime,
    private=frozenset({"keys"}),
)
