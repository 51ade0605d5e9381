"""Make, change, rotate and revoke bearer keys. Nobody gives a key what they do not hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.tenancy.access import (
    ALL,
    Actor,
    Kind,
    Principal,
    Scope,
    Target,
    may_grant,
)
from mailroom.domain.tenancy.identity import new_secret
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.secret import rotated, sealed
from mailroom.domain.tenancy.resource import Resource
from mailroom.errors import ForbiddenError
from mailroom.usecases.registrar import Registrar

PREFIX = "mrk"


@dataclass(frozen=True, slots=True)
class Shown:
    """A resource whose secret is new: shown now and never again."""

    resource: Resource
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who hands a key on: what they hold, and how the audit log calls them."""

    principal: Principal
    actor: Actor


def create_key(
    parent: str, fields: Mapping[str, Any], *, holder: Holder, registrar: Registrar
) -> Shown:
    """Make a key of the platform, an organisation or a user: whose it is says `parent`.

    Raises ForbiddenError for a scope its maker does not hold, TooManyError.
    """
    require_held(holder.principal, fields["scopes"], parent)
    secret = new_secret(registrar.chance, registrar.environment, PREFIX)
    whole = {**fields, **sealed(secret)}
    made = registrar.create(
        KEY, parent, whole, actor=holder.actor, organisation=_organisation(parent)
    )
    return Shown(made, secret)


def change_key(
    key: Resource, given: Mapping[str, Any], *, holder: Holder, registrar: Registrar
) -> Resource:
    """Change what `given` names. Raises ForbiddenError, RevisionError."""
    # Both what it could do and what it shall: else a narrow key would widen another.
    require_held(holder.principal, key.fields["scopes"], key.parent)
    fields = {**key.fields, **given}
    require_held(holder.principal, fields["scopes"], key.parent)
    return registrar.update(KEY, key, fields, actor=holder.actor)


def rotate_key(key: Resource, overlap: float, *, holder: Holder, registrar: Registrar) -> Shown:
    """Give a key a new secret; the old one works for `overlap` seconds more.

    Raises ForbiddenError when the key may do what the caller may not, RevisionError.
    """
    require_held(holder.principal, key.fields["scopes"], key.parent)
    secret = new_secret(registrar.chance, registrar.environment, PREFIX)
    fields = rotated(key.fields, secret, now=registrar.clock.now(), overlap=overlap)
    after = registrar.update(KEY, key, fields, actor=holder.actor, action="rotate")
    return Shown(after, secret)


def revoke_key(key: Resource, *, actor: Actor, registrar: Registrar) -> None:
    """End a key with both its secrets. Raises RevisionError."""
    registrar.delete(KEY, key, actor=actor)


def require_held(principal: Principal, scopes: Iterable[str], parent: str) -> None:
    """See that whoever hands a key on holds its scopes. Raises ForbiddenError.

    Scopes of a personal token are narrowed by the roles of the user wherever it is used, so its
    maker needs no more than the same scopes in the token at hand.
    """
    wanted = frozenset(scopes)
    organisation = _organisation(parent)
    if principal.kind is Kind.USER and parent == f"user#{principal.id}":
        held = ALL in principal.scopes or wanted <= principal.scopes
    else:
        held = may_grant(principal, wanted, Target(organisation))
    if not held or (organisation and Scope.PLATFORM in wanted):
        raise ForbiddenError("nobody gives a key what they do not hold themselves")


def _organisation(parent: str) -> str:
    owner, _, id_ = parent.partition("#")
    return id_ if owner == "organisation" else ""
