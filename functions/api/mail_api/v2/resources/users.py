"""Users: people on the platform. Organisations see theirs as members."""

from typing import Any

from mail_api.v2.crud import expected, flat, paged, shown
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.people import (
    MembershipView,
    MeUpdate,
    User,
    UserCreate,
    UserListing,
    UserUpdate,
)
from mail_api.v2.operation import Answer, Call, Operation
from mailroom.domain.tenancy.access import Kind, Scope
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import ForbiddenError
from mailroom.usecases.members import leave
from mailroom.usecases.registrar import missing
from mailroom.usecases.users import (
    change_user,
    create_user,
    delete_user,
    find_user,
    memberships_of,
)


def list_users(call: Call) -> Any:
    """All, in the order of their ids; with `email` the one who has that address."""
    if call.query.email:
        user = find_user(call.query.email, call.desk.registrar)
        return {"data": [flat(user)] if user else []}

    def read(limit: int, after: str) -> tuple[list[Any], str]:
        found, more = call.desk.registrar.page(USER, PLATFORM, limit=limit, after=after)
        return list(map(flat, found)), more

    return paged(call, read)


def create(call: Call) -> Answer:
    """Make one, who can do nothing yet without a token and a membership."""
    fields = call.body.model_dump(mode="json")
    return shown(User, create_user(fields, actor=call.actor, registrar=call.desk.registrar))


def read_user(call: Call) -> Answer:
    """Read one."""
    return shown(User, _one(call))


def update(call: Call) -> Answer:
    """Change one. The platform keeps an administrator who is not disabled: else 409."""
    given = call.body.model_dump(mode="json", exclude_unset=True)
    before = expected(call, _one(call))
    after = change_user(before, given, actor=call.actor, registrar=call.desk.registrar)
    return shown(User, after)


def delete(call: Call) -> Answer:
    """Delete one with all memberships and tokens, for good.

    Refused with 409, and nothing done, for an organisation's last owner and for the platform's
    last administrator.
    """
    delete_user(expected(call, _one(call)), actor=call.actor, registrar=call.desk.registrar)
    return Answer()


def list_memberships(call: Call) -> Any:
    """The organisations a user belongs to, in the order of their ids."""
    user = _one(call)

    def read(limit: int, after: str) -> tuple[list[Any], str]:
        found, more = memberships_of(user.id, call.desk.registrar, limit=limit, after=after)
        return [{**flat(each), "organisation": each.organisation} for each in found], more

    return paged(call, read)


def update_me(call: Call) -> Answer:
    """Change one's own name or time zone."""
    given = call.body.model_dump(mode="json", exclude_unset=True)
    before = expected(call, _myself(call))
    after = change_user(before, given, actor=call.actor, registrar=call.desk.registrar)
    return shown(User, after)


def leave_organisation(call: Call) -> Answer:
    """Leave an organisation. Its last owner cannot: 409."""
    if call.principal.kind is not Kind.USER:  # who is no member may not even know that it is there
        raise missing(call.path["organisation"], call.desk.registrar.environment)
    who = call.principal.id
    leave(call.path["organisation"], who, actor=call.actor, registrar=call.desk.registrar)
    return Answer()


def _one(call: Call) -> Resource:
    return call.desk.registrar.read(USER, PLATFORM, call.path["user"])


def _myself(call: Call) -> Resource:
    if call.principal.kind is not Kind.USER:
        raise ForbiddenError("this key is no person's")
    return call.desk.registrar.read(USER, PLATFORM, call.principal.id)


_ONE = "/users/{user}"

OPERATIONS = (
    Operation("users.list", "GET", "/users", "List users", list_users, Scope.PLATFORM,
              answer=Page[User], query=UserListing),
    Operation("users.create", "POST", "/users", "Create a user", create, Scope.PLATFORM,
              answer=User, body=UserCreate, status=201),
    Operation("users.read", "GET", _ONE, "Read a user", read_user, Scope.PLATFORM, answer=User),
    Operation("users.update", "PATCH", _ONE, "Change a user", update, Scope.PLATFORM,
              answer=User, body=UserUpdate),
    Operation("users.delete", "DELETE", _ONE, "Delete a user", delete, Scope.PLATFORM,
              status=204),
    Operation("users.memberships", "GET", f"{_ONE}/memberships", "List a user's memberships",
              list_memberships, Scope.PLATFORM, answer=Page[MembershipView], query=Listing),
    Operation("me.update", "PATCH", "/me", "Change one's own name or time zone", update_me, None,
              answer=User, body=MeUpdate),
    Operation("me.leave", "DELETE", "/me/organisations/{organisation}", "Leave an organisation",
              leave_organisation, None, status=204),
)  # fmt: skip
