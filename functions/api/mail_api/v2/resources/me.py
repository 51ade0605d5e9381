"""Who a key is: the first call of every client."""

from mail_api.v2.models.base import View
from mail_api.v2.operation import Call, Operation
from mailroom.domain.tenancy.access import Kind, Role


class Part(View):
    """A user's part in an organisation; `servers` is null for all of them."""

    organisation: str
    role: Role
    servers: list[str] | None


class Me(View):
    """The caller, as the platform sees it."""

    kind: Kind
    id: str
    name: str
    scopes: list[str]
    organisation: str | None
    server: str | None
    administrator: bool
    memberships: list[Part]


def me(call: Call) -> Me:
    """Tell who calls and what they may do."""
    who = call.principal
    return Me(
        kind=who.kind,
        id=who.id,
        name=who.name,
        scopes=sorted(who.scopes),
        organisation=who.organisation or None,
        server=who.server or None,
        administrator=who.kind is Kind.PLATFORM or who.is_administrator,
        memberships=[
            Part(
                organisation=each.organisation,
                role=each.role,
                servers=None if each.servers is None else sorted(each.servers),
            )
            for each in who.memberships
        ],
    )


OPERATIONS = (Operation("me.read", "GET", "/me", "Say who this key is", me, None, answer=Me),)
