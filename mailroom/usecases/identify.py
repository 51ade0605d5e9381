"""Who calls: what a secret opens, and what that may do."""

from collections.abc import Mapping
from typing import Any

from mailroom.domain.credential_use import Refusal, refusal_now
from mailroom.domain.tenancy.access import (
    ALL,
    DEFAULT_SERVER_SCOPES,
    SERVER_SCOPES,
    Kind,
    Membership,
    Principal,
    Role,
    Scope,
)
from mailroom.domain.tenancy.identity import is_foreign_secret
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.spelling import credential_pk
from mailroom.errors import MailroomError
from mailroom.ports.last_use import LastUse
from mailroom.ports.registry import Registry

MAX_SECRET = 256  # characters
_MOST_MEMBERSHIPS = 1_000
_KINDS: Mapping[str, Kind] = {
    "api": Kind.SERVER,
    "organisation": Kind.ORGANISATION,
    "platform": Kind.PLATFORM,
    "user": Kind.USER,
}


class UnauthenticatedError(MailroomError):
    """Nobody is behind this secret. `code` says why, as far as a stranger may know."""

    code = "unauthenticated"

    def __init__(self, message: str, code: str = "unauthenticated") -> None:
        super().__init__(message)
        self.code = code


def identify(
    secret: str,
    *,
    address: str,
    now: float,
    registry: Registry,
    environment: str,
    last_use: LastUse | None = None,
) -> Principal:
    """Return the principal a secret opens, asked from the IP `address` at `now` (Unix seconds).

    `last_use` is told which key that was.

    Raises UnauthenticatedError for an unknown, expired or foreign key, one that may not be used
    from there, and one whose owner is gone.
    """
    if not secret or len(secret) > MAX_SECRET or not secret.isascii():
        raise UnauthenticatedError("the key is not valid")
    if is_foreign_secret(secret, environment):
        raise UnauthenticatedError("this key was made by another deployment", "foreign_environment")
    record = registry.read(Place(credential_pk(secret)))
    kind = _KINDS.get(record.body["kind"]) if record else None
    if record is None or kind is None:
        raise UnauthenticatedError("the key is not valid")
    key = record.body
    _require_usable(key, address, now)
    principal = _opened(kind, key, registry)
    if principal is None:
        raise UnauthenticatedError("the key is not valid")
    if last_use is not None:
        last_use.used(key["id"], now)
    return principal


def _require_usable(key: Mapping[str, Any], address: str, now: float) -> None:
    networks = tuple(key.get("networks") or ())
    refused = refusal_now(key.get("expires_at"), networks, address=address, now=now)
    if refused is Refusal.EXPIRED:
        raise UnauthenticatedError("the key has expired", "key_expired")
    if refused is not None:
        raise UnauthenticatedError("the key may not be used from this address", "address_refused")


def _opened(kind: Kind, key: Mapping[str, Any], registry: Registry) -> Principal | None:
    scopes = _scopes(key)
    named = {"id": key["id"], "name": key["name"], "scopes": scopes}
    if kind is Kind.SERVER:
        server = registry.read(Place(f"server#{key['server']}"))
        if server is None:
            return None
        organisation = server.body["organisation"]
        if _is_deleted(organisation, registry):
            return None
        return Principal(kind, **named, organisation=organisation, server=key["server"])
    if kind is Kind.ORGANISATION:
        if _is_deleted(key["organisation"], registry):
            return None
        return Principal(kind, **named, organisation=key["organisation"])
    if kind is Kind.USER:
        return _user(key, scopes, registry)
    return Principal(kind, **named)


def _scopes(key: Mapping[str, Any]) -> frozenset[str]:
    scopes = frozenset(key.get("scopes") or DEFAULT_SERVER_SCOPES)
    if not key.get("hold"):
        return scopes
    # What a key holds, the same key must not let go, nor have another key that does not hold.
    given = SERVER_SCOPES if ALL in scopes else scopes
    return given - {Scope.MESSAGES_WRITE, Scope.CREDENTIALS_WRITE}


def _is_deleted(organisation: str, registry: Registry) -> bool:
    # Organisations of before there were resources have no row, and cannot be deleted.
    row = registry.read(Place(f"organisation#{organisation}"))
    return row is not None and bool(row.body.get("deleted"))


def _user(key: Mapping[str, Any], scopes: frozenset[str], registry: Registry) -> Principal | None:
    owner = f"user#{key['user']}"
    user = registry.read(Place(owner))
    if user is None or user.body.get("disabled"):
        return None
    page = registry.page(owner, "m#", limit=_MOST_MEMBERSHIPS)
    return Principal(
        kind=Kind.USER,
        id=key["user"],
        name=user.body["name"],
        scopes=scopes,
        memberships=tuple(
            Membership(
                organisation=record.place.sort.removeprefix("m#"),
                role=Role(record.body["role"]),
                servers=None
                if record.body.get("servers") is None
                else frozenset(record.body["servers"]),
            )
            for record in page.records
        ),
        is_administrator=bool(user.body.get("administrator")),
    )
