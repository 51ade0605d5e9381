"""Who belongs to an organisation, and as what.

An organisation that has an owner keeps one, and nobody gives, changes or takes a role higher
than their own (`roles.py`). Owners are not narrowed to servers.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.access import Actor, Principal, Role
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.record import Change, Place
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.domain.tenancy.roles import may_make
from mailroom.errors import AlreadyExistsError, ForbiddenError, NotFoundError
from mailroom.usecases.keys import Holder
from mailroom.usecases.quorum import moved, owners_of, repeated
from mailroom.usecases.registrar import Registrar, missing


def add_member(
    organisation: str,
    user: str,
    part: Mapping[str, Any],
    *,
    giver: Holder,
    registrar: Registrar,
) -> Resource:
    """Make a user a member; `part` has `role` and `servers` (None for all).

    Raises NotFoundError for a user or server there is not, ForbiddenError, AlreadyExistsError.
    """
    registrar.read(USER, PLATFORM, user)
    require_part(organisation, part, giver.principal, registrar)
    if is_member(organisation, user, registrar):
        raise AlreadyExistsError("this person is a member already", field="user")

    def act() -> Resource:
        return registrar.create(
            MEMBER,
            f"organisation#{organisation}",
            dict(part),
            actor=giver.actor,
            organisation=organisation,
            id_=user,
            beside=seat(organisation, user, None, part, registrar),
        )

    return repeated(act)


def change_member(
    member: Resource, given: Mapping[str, Any], *, giver: Holder, registrar: Registrar
) -> Resource:
    """Change a member's role or servers.

    Raises LastOneError for the last owner, ForbiddenError, NotFoundError, RevisionError.
    """
    organisation, part = member.organisation, {**member.fields, **given}
    require_role(organisation, member.fields["role"], giver.principal)
    require_part(organisation, part, giver.principal, registrar)

    def act() -> Resource:
        beside = seat(organisation, member.id, member.fields, part, registrar)
        return registrar.update(MEMBER, member, part, actor=giver.actor, beside=beside)

    return repeated(act)


def remove_member(member: Resource, *, giver: Holder, registrar: Registrar) -> None:
    """Take a member out. Raises LastOneError, ForbiddenError, RevisionError."""
    require_role(member.organisation, member.fields["role"], giver.principal)
    _take_out(member, actor=giver.actor, registrar=registrar)


def leave(organisation: str, user: str, *, actor: Actor, registrar: Registrar) -> None:
    """Let a user go, whatever their role.

    Raises NotFoundError for somebody who is no member, LastOneError for the last owner of an
    organisation that is not deleted.
    """
    member = registrar.read(MEMBER, f"organisation#{organisation}", user)
    _take_out(member, actor=actor, registrar=registrar)


def require_part(
    organisation: str, part: Mapping[str, Any], principal: Principal, registrar: Registrar
) -> None:
    """See that somebody may give a part in an organisation, and that its servers are there.

    Raises ForbiddenError, NotFoundError for a server that is not the organisation's.
    """
    require_role(organisation, part["role"], principal)
    require_servers(organisation, part.get("servers") or (), registrar)


def require_role(organisation: str, role: str, principal: Principal) -> None:
    """See that a role is somebody's to give, change or take. Raises ForbiddenError."""
    if not may_make(principal, organisation, Role(role)):
        raise ForbiddenError("nobody gives or takes a role higher than their own")


def require_servers(organisation: str, servers: Iterable[str], registrar: Registrar) -> None:
    """See that servers (at most 100) are an organisation's. Raises NotFoundError."""
    places = [Place(f"server#{id_}") for id_ in servers]
    found = registrar.registry.read_many(places)
    for place in places:
        if place not in found or found[place].body["organisation"] != organisation:
            raise missing(place.partition.removeprefix("server#"), registrar.environment)


def seat(
    organisation: str,
    user: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    registrar: Registrar,
) -> Sequence[Change]:
    """Return the changes to the circle of owners. Raises LastOneError."""
    inside = _is_owner(after)
    if inside == _is_owner(before):
        return []
    return moved(
        owners_of(organisation),
        user,
        registrar.registry,
        inside=inside,
        may_be_empty=not inside and not is_there(organisation, registrar),
    )


def is_member(organisation: str, user: str, registrar: Registrar) -> bool:
    """Say whether a user belongs to an organisation."""
    try:
        registrar.read(MEMBER, f"organisation#{organisation}", user)
    except NotFoundError:
        return False
    return True


def is_there(organisation: str, registrar: Registrar) -> bool:
    """Say whether an organisation exists and is not deleted."""
    try:
        registrar.read(ORGANISATION, PLATFORM, organisation)
    except NotFoundError:
        return False
    return True


def _take_out(member: Resource, *, actor: Actor, registrar: Registrar) -> None:
    def act() -> None:
        beside = seat(member.organisation, member.id, member.fields, None, registrar)
        registrar.delete(MEMBER, member, actor=actor, beside=beside)

    repeated(act)


def _is_owner(part: Mapping[str, Any] | None) -> bool:
    return part is not None and part["role"] == Role.OWNER
