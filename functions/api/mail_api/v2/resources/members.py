"""Members of an organisation."""

from collections.abc import Sequence
from typing import Any

from mail_api.v2.crud import expected, flat, paged
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.people import Member, MemberCreate, MemberUpdate
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources.secretive import holder
from mailroom.domain.tenancy.access import Role, Scope
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.resource import PLATFORM, Resource, place_of
from mailroom.usecases.members import add_member, change_member, remove_member


def list_members(call: Call) -> Any:
    """In the order of their ids."""

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(MEMBER, call.parent, limit=limit, after=after)
        return _named(call, found), more

    return paged(call, read)


def add(call: Call) -> Answer:
    """Make a user a member without asking: for platform administrators. Others invite."""
    part = call.body.model_dump(mode="json", exclude={"user"})
    require_whole(part)
    made = add_member(
        call.target.organisation,
        call.body.user,
        part,
        giver=holder(call),
        registrar=call.desk.registrar,
    )
    return _shown(call, made)


def read_member(call: Call) -> Answer:
    """Read one."""
    return _shown(call, _one(call))


def update(call: Call) -> Answer:
    """Change one's role or servers. Nobody changes or gives a role higher than their own."""
    before = expected(call, _one(call))
    given = call.body.model_dump(mode="json", exclude_unset=True)
    require_whole({**before.fields, **given})
    after = change_member(before, given, giver=holder(call), registrar=call.desk.registrar)
    return _shown(call, after)


def remove(call: Call) -> Answer:
    """Take somebody out; an organisation keeps an owner: else 409."""
    member = expected(call, _one(call))
    remove_member(member, giver=holder(call), registrar=call.desk.registrar)
    return Answer()


def require_whole(part: dict[str, Any]) -> None:
    """See that an owner is not narrowed to servers. Raises ApiError 422."""
    if part["role"] == Role.OWNER and part.get("servers") is not None:
        raise invalid("servers", "an owner is not narrowed to servers")


def _one(call: Call) -> Resource:
    return call.desk.registrar.read(MEMBER, call.parent, call.path["member"])


def _shown(call: Call, member: Resource) -> Answer:
    values = _named(call, [member])[0]
    return Answer(Member.model_validate(values), revision=member.revision)


def _named(call: Call, members: Sequence[Resource]) -> list[dict[str, Any]]:
    places = [place_of(USER.name, PLATFORM, each.id) for each in members]
    users = call.desk.registry.read_many(places)
    found = []
    for each, place in zip(members, places, strict=True):
        person = users[place].body["fields"] if place in users else {}
        names = {"name": person.get("name", ""), "email": person.get("email", "")}
        found.append({**flat(each), **names})
    return found


_ALL = "/organisations/{organisation}/members"
_ONE = f"{_ALL}/{{member}}"

OPERATIONS = (
    Operation("members.list", "GET", _ALL, "List members", list_members, Scope.MEMBERS_READ,
              answer=Page[Member], query=Listing),
    Operation("members.create", "POST", _ALL, "Make a user a member", add, Scope.PLATFORM,
              answer=Member, body=MemberCreate, status=201),
    Operation("members.read", "GET", _ONE, "Read a member", read_member, Scope.MEMBERS_READ,
              answer=Member),
    Operation("members.update", "PATCH", _ONE, "Change a member", update, Scope.MEMBERS_WRITE,
              answer=Member, body=MemberUpdate),
    Operation("members.delete", "DELETE", _ONE, "Remove a member", remove, Scope.MEMBERS_WRITE,
              status=204),
)  # fmt: skip
