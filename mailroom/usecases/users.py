"""Make, change and delete users, who are the platform's: organisations have members."""

from collections.abc import Iterator, Mapping
from typing import Any

from mailroom.domain.tenancy.access import Actor
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.user import USER, email_key
from mailroom.domain.tenancy.record import Change
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import LastOneError, NotFoundError
from mailroom.usecases.members import is_there, leave
from mailroom.usecases.quorum import ADMINISTRATORS, circle, moved, owners_of, repeated
from mailroom.usecases.registrar import Registrar

_PAGE = 100


def create_user(fields: Mapping[str, Any], *, actor: Actor, registrar: Registrar) -> Resource:
    """Make a user. Raises AlreadyExistsError for an address that somebody has."""
    id_ = registrar.id_for(USER)
    whole = {**new_user(fields["email"], fields["name"]), **fields}

    def act() -> Resource:
        return registrar.create(
            USER,
            PLATFORM,
            whole,
            actor=actor,
            organisation="",
            id_=id_,
            beside=_seat(id_, {}, whole, registrar),
        )

    return repeated(act)


def new_user(email: str, name: str) -> dict[str, Any]:
    """Return the fields of a user who is nothing special."""
    return {
        "email": email,
        "name": name,
        "time_zone": "UTC",
        "administrator": False,
        "disabled": False,
    }


def change_user(
    user: Resource, given: Mapping[str, Any], *, actor: Actor, registrar: Registrar
) -> Resource:
    """Change what `given` names.

    Raises LastOneError when the platform would be without an administrator who is not disabled,
    AlreadyExistsError for a taken address, RevisionError.
    """
    fields = {**user.fields, **given}

    def act() -> Resource:
        beside = _seat(user.id, user.fields, fields, registrar)
        return registrar.update(USER, user, fields, actor=actor, beside=beside)

    return repeated(act)


def delete_user(user: Resource, *, actor: Actor, registrar: Registrar) -> None:
    """Delete a user with all memberships and personal tokens, for good.

    Raises LastOneError, before anything is done, for the last owner of an organisation and for
    the platform's last administrator; RevisionError.
    """
    _require_dispensable(user, registrar)
    for organisation in _organisations(user, registrar):
        leave(organisation, user.id, actor=actor, registrar=registrar)
    for token in _tokens(user, registrar):
        registrar.delete(KEY, token, actor=actor)

    def act() -> None:
        beside = _seat(user.id, user.fields, {}, registrar)
        registrar.delete(USER, user, actor=actor, beside=beside)

    repeated(act)


def find_user(email: str, registrar: Registrar) -> Resource | None:
    """Return the user with an e-mail address, however its letters are written, or None."""
    return registrar.find(USER, "email", email_key(email))


def memberships_of(
    user: str, registrar: Registrar, *, limit: int, after: str
) -> tuple[list[Resource], str]:
    """Return memberships of a user in the order of the organisations' ids, and where to go on."""
    start = f"m#{after}" if after else ""
    page = registrar.registry.page(f"user#{user}", "m#", limit=limit, after=start)
    organisations = [record.place.sort.removeprefix("m#") for record in page.records]
    found = (_member(organisation, user, registrar) for organisation in organisations)
    return [member for member in found if member is not None], page.after.removeprefix("m#")


def _member(organisation: str, user: str, registrar: Registrar) -> Resource | None:
    try:
        return registrar.read(MEMBER, f"organisation#{organisation}", user)
    except NotFoundError:  # left this very moment
        return None


def _seat(
    id_: str, before: Mapping[str, Any], after: Mapping[str, Any], registrar: Registrar
) -> list[Change]:
    """Return the changes to the circle of administrators; a disabled one is not in it."""
    inside = _counts(after)
    if inside == _counts(before):
        return []
    return moved(ADMINISTRATORS, id_, registrar.registry, inside=inside)


def _counts(fields: Mapping[str, Any]) -> bool:
    return bool(fields.get("administrator")) and not fields.get("disabled")


def _require_dispensable(user: Resource, registrar: Registrar) -> None:
    registry, alone = registrar.registry, {user.id}
    if _counts(user.fields) and circle(ADMINISTRATORS, registry) == alone:
        raise LastOneError("this is the platform's last administrator")
    for organisation in _organisations(user, registrar):
        if circle(owners_of(organisation), registry) == alone and is_there(organisation, registrar):
            raise LastOneError(f"this is the last owner of {organisation}: name another first")


def _organisations(user: Resource, registrar: Registrar) -> list[str]:
    found, after = [], ""
    while True:
        page = registrar.registry.page(user.owner, "m#", limit=_PAGE, after=after)
        found += [record.place.sort.removeprefix("m#") for record in page.records]
        after = page.after
        if not after:
            return found


def _tokens(user: Resource, registrar: Registrar) -> Iterator[Resource]:
    while True:
        tokens, more = registrar.page(KEY, user.owner, limit=_PAGE)
        yield from tokens
        if not more:
            return
