"""Credentials of a server: API keys, SMTP passwords, and networks that need neither (SMTP-IP).

A deleted one stops at once and can be had back for 30 days: its secret may be in devices that
nobody can reach, and nobody knows it to enter it anew. A secret that has leaked is rotated.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from mailroom.domain.message import Credential, ServerId
from mailroom.domain.tenancy.kinds.secret import PRIVATE, opened
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind
from mailroom.domain.tenancy.spelling import credential_body, network_pk

CRAM_PRIVATE = frozenset({"cram_wrapped", "old_cram_wrapped"})


class CredentialType(StrEnum):
    """What a credential is, in Postal's words. Values are stored; never rename them."""

    API = "API"
    SMTP = "SMTP"
    SMTP_IP = "SMTP-IP"


def credential_of(resource: Resource) -> Credential:
    """Return a credential as the sending path knows it."""
    fields = resource.fields
    return Credential(
        id=resource.id,
        server=ServerId(resource.parent.removeprefix("server#")),
        kind=fields["type"].lower(),
        name=fields["name"],
        hold=bool(fields.get("hold")),
        cram=bool(fields.get("cram")),
        scopes=frozenset(fields["scopes"]),
        networks=tuple(fields.get("networks") or ()),
        expires_at=fields.get("expires_at"),
        stream=fields.get("stream") or "",
    )


def _runtime(resource: Resource) -> Sequence[Record]:
    fields, credential = resource.fields, credential_of(resource)
    body = credential_body(credential)
    if fields["type"] == CredentialType.SMTP_IP:
        return [Record(Place(network_pk(fields["network"])), body, exclusive=True)]
    return [*opened(fields, body), *_cram_rows(resource, credential)]


def _cram_rows(resource: Resource, credential: Credential) -> Sequence[Record]:
    """Return the rows with the secrets themselves, which the server's side of CRAM-MD5 needs."""
    fields, rows = resource.fields, []
    wrapped, old = fields.get("cram_wrapped"), fields.get("old_cram_wrapped")
    place = Place(resource.parent, f"cram#{resource.id}")
    if wrapped:
        rows.append(Record(place, credential_body(credential), secret=bytes.fromhex(wrapped)))
    if old:
        until = fields["old_until"]
        ends = (end for end in (until, credential.expires_at) if end is not None)
        body = credential_body(replace(credential, expires_at=min(ends)))
        before = Place(resource.parent, f"{place.sort}#old")
        rows.append(Record(before, body, secret=bytes.fromhex(old), expires_at=until))
    return rows


CREDENTIAL = ResourceKind(
    name="credential",
    prefix="crd",
    most=1_000,
    runtime=_runtime,
    private=PRIVATE | CRAM_PRIVATE,
)
