"""Invitations to an organisation, and the one call that needs no key: accepting one."""

from collections.abc import Callable, Sequence
from typing import Any

from mail_api.v2.crud import expected, flat, paged, shown
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.people import (
    Accepted,
    Invitation,
    InvitationAccept,
    InvitationCreate,
)
from mail_api.v2.operation import Answer, ApiError, Call, Operation
from mail_api.v2.resources.members import require_whole
from mail_api.v2.resources.secretive import holder
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.invitation import INVITATION
from mailroom.domain.tenancy.resource import Resource
from mailroom.ports.app_mail import AppMailError
from mailroom.usecases.invitations import InvitationPorts, accept_invitation, invite, resend

AREA = "invitations"
# An invitation goes to an address that somebody merely typed, in the platform's own name.
_MAILS_A_DAY = 200
_DAY = 86_400.0


def list_invitations(call: Call) -> Any:
    """Those nobody has accepted yet, also those that are over, in the order of their ids."""

    def read(limit: int, after: str) -> tuple[Sequence[Any], str]:
        found, more = call.desk.registrar.page(INVITATION, call.parent, limit=limit, after=after)
        return list(map(flat, found)), more

    return paged(call, read)


def create(call: Call) -> Answer:
    """Invite an address by a mail of the platform's own; the token is in that mail alone.

    Nobody gives a role higher than their own. 503 when the mail was not taken: nobody is invited
    then.
    """
    fields = call.body.model_dump(mode="json")
    require_whole(fields)
    _count(call)
    made = _mailed(
        lambda: invite(call.target.organisation, fields, giver=holder(call), ports=_ports(call))
    )
    return shown(Invitation, made)


def read_invitation(call: Call) -> Answer:
    """Read one."""
    return shown(Invitation, _one(call))


def resend_invitation(call: Call) -> Answer:
    """Mail a new token for 7 days more; the one before it ends. Once in five minutes."""
    before = _one(call)
    _count(call)
    after = _mailed(lambda: resend(before, giver=holder(call), ports=_ports(call)))
    return shown(Invitation, after)


def revoke(call: Call) -> Answer:
    """Revoke one: its token opens nothing any more."""
    call.desk.registrar.delete(INVITATION, expected(call, _one(call)), actor=call.actor)
    return Answer()


def accept(call: Call) -> Accepted:
    """Become a member by the token from the mail. Needs no key.

    A new user gets a first personal token, shown this once. Somebody who is a user already
    becomes a member and gets none. Any token that does not work gives the same 404.
    """
    welcome = accept_invitation(
        call.body.token, call.body.name, actor=call.actor, registrar=call.desk.registrar
    )
    part = welcome.member.fields
    return Accepted(
        organisation=welcome.member.organisation,
        user=welcome.user.id,
        role=part["role"],
        servers=part.get("servers"),
        secret=welcome.secret or None,
    )


def _mailed(act: Callable[[], Resource]) -> Resource:
    try:
        return act()
    except AppMailError as error:
        raise ApiError(
            503, "mail_unavailable", f"The mail was not taken: {error}",
            headers={"retry-after": "60"},
        ) from error  # fmt: skip


def _count(call: Call) -> None:
    desk, now = call.desk, call.desk.registrar.clock.now()
    who = f"invitations#{call.target.organisation}"
    allowance = desk.limits.take(who, _MAILS_A_DAY, _DAY, now)
    if not allowance.allowed:
        wait = str(max(1, round(allowance.resets_at - now)))
        raise ApiError(
            429, "rate_limited", f"No more than {_MAILS_A_DAY} invitations a day",
            headers={"retry-after": wait},
        )  # fmt: skip


def _one(call: Call) -> Resource:
    return call.desk.registrar.read(INVITATION, call.parent, call.path["invitation"])


def _ports(call: Call) -> InvitationPorts:
    mail, console_url = call.desk.area(AREA)
    return InvitationPorts(call.desk.registrar, mail, console_url)


_ALL = "/organisations/{organisation}/invitations"
_ONE = f"{_ALL}/{{invitation}}"
_READS, _WRITES = Scope.MEMBERS_READ, Scope.MEMBERS_WRITE

OPERATIONS = (
    Operation("invitations.list", "GET", _ALL, "List invitations", list_invitations, _READS,
              answer=Page[Invitation], query=Listing),
    Operation("invitations.create", "POST", _ALL, "Invite somebody", create, _WRITES,
              answer=Invitation, body=InvitationCreate, status=201),
    Operation("invitations.read", "GET", _ONE, "Read an invitation", read_invitation, _READS,
              answer=Invitation),
    Operation("invitations.resend", "POST", f"{_ONE}/resend", "Mail an invitation again",
              resend_invitation, _WRITES, answer=Invitation),
    Operation("invitations.delete", "DELETE", _ONE, "Revoke an invitation", revoke, _WRITES,
              status=204),
    Operation("invitations.accept", "POST", "/invitations/accept", "Accept an invitation",
              accept, None, answer=Accepted, body=InvitationAccept, public=True, secret=True),
)  # fmt: skip
