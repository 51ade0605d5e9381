"""Invite people by mail, and let in whoever comes with the token that was in it.

The token proves that somebody reads the mail of the invited address, and nothing else. So it
makes a new user, who gets a first personal token; a user whom we know already becomes a member
and gets none: a forwarded invitation must open nobody's account.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailroom.domain.tenancy.access import ALL, Actor, Kind
from mailroom.domain.tenancy.identity import is_foreign_secret, new_secret
from mailroom.domain.tenancy.kinds.invitation import INVITATION, LASTS_SECONDS, invitation_place
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.member import MEMBER
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.secret import sealed
from mailroom.domain.tenancy.kinds.user import USER, email_key
from mailroom.domain.tenancy.record import Change
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.domain.tenancy.spelling import secret_hash
from mailroom.errors import AlreadyExistsError, InvitationError, NotFoundError, TooManyError
from mailroom.ports.app_mail import AppMail, AppMailError, Note
from mailroom.usecases.keys import PREFIX, Holder
from mailroom.usecases.members import is_member, require_part, seat
from mailroom.usecases.quorum import repeated
from mailroom.usecases.registrar import Registrar
from mailroom.usecases.users import find_user, new_user

MAX_TOKEN = 256  # characters
RESEND_SECONDS = 300.0
_TOKEN_PREFIX = "mri"  # noqa: S105  # what tokens begin with


@dataclass(frozen=True, slots=True)
class InvitationPorts:
    """The register, the platform's mail, and where the console answers ("" for nowhere)."""

    registrar: Registrar
    mail: AppMail
    console_url: str = ""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What accepting gives: the member, and the first token of a user who is new."""

    member: Resource
    user: Resource
    secret: str = field(default="", repr=False)


def invite(
    organisation: str, fields: Mapping[str, Any], *, giver: Holder, ports: InvitationPorts
) -> Resource:
    """Invite an address for 7 days; `fields` has `email`, `role` and `servers`.

    Raises ForbiddenError, NotFoundError for a foreign server, AlreadyExistsError for a member
    and for an address that is invited already, AppMailError when the mail was not taken: nobody
    is invited then.
    """
    registrar, parent = ports.registrar, f"organisation#{organisation}"
    require_part(organisation, fields, giver.principal, registrar)
    _require_no_member(organisation, fields["email"], registrar)
    _make_room(parent, fields["email"], giver.actor, registrar)
    token, times = _drawn(registrar)
    whole = {**fields, **times, "invited_by": giver.actor.name}
    made = registrar.create(INVITATION, parent, whole, actor=giver.actor, organisation=organisation)
    try:
        ports.mail.send(_note(made, token, ports))
    except AppMailError:
        registrar.delete(INVITATION, made, actor=giver.actor)
        raise
    return made


def resend(invitation: Resource, *, giver: Holder, ports: InvitationPorts) -> Resource:
    """Mail a new token, good for 7 days; the one before it is good for nothing.

    Raises ForbiddenError, TooManyError within five minutes of the mail before, AppMailError,
    RevisionError.
    """
    registrar, fields = ports.registrar, invitation.fields
    require_part(invitation.organisation, fields, giver.principal, registrar)
    if registrar.clock.now() - fields["mailed_at"] < RESEND_SECONDS:
        raise TooManyError("it was mailed within the last five minutes")
    token, times = _drawn(registrar)
    after = registrar.update(
        INVITATION, invitation, {**fields, **times}, actor=giver.actor, action="resend"
    )
    ports.mail.send(_note(after, token, ports))
    return after


def accept_invitation(token: str, name: str, *, actor: Actor, registrar: Registrar) -> Welcome:
    """Let in whoever has the token of an invitation; a new user is called `name`.

    Raises InvitationError for a token that opens nothing, whatever the reason.
    """
    invitation = _found(token, registrar)
    return repeated(lambda: _let_in(invitation, name, actor, registrar))


def _let_in(invitation: Resource, name: str, actor: Actor, registrar: Registrar) -> Welcome:
    fields, organisation = invitation.fields, invitation.organisation
    known = find_user(fields["email"], registrar)
    user = known or _drafted(USER.name, PLATFORM, registrar.id_for(USER), registrar)
    if known is None:
        user = _with(user, new_user(fields["email"], name))
    if known is not None and is_member(organisation, known.id, registrar):
        raise InvitationError("this invitation is not valid")
    who = Actor(str(Kind.USER), user.id, user.fields["name"], actor.request_id, actor.address)
    part = {"role": fields["role"], "servers": fields.get("servers")}
    secret, beside = "", [
        *registrar.removal(INVITATION, invitation, who),
        *seat(organisation, user.id, None, part, registrar),
    ]  # fmt: skip
    if known is None:
        secret, changes = _first_token(user, who, registrar)
        beside += [*registrar.creation(USER, user, who), *changes]
    member = registrar.create(
        MEMBER,
        invitation.parent,
        part,
        actor=who,
        organisation=organisation,
        id_=user.id,
        beside=beside,
    )
    return Welcome(member, user, secret)


def _first_token(user: Resource, who: Actor, registrar: Registrar) -> tuple[str, list[Change]]:
    secret = new_secret(registrar.chance, registrar.environment, PREFIX)
    draft = _drafted(KEY.name, user.owner, registrar.id_for(KEY), registrar)
    fields = {"name": "First token", "scopes": [ALL], "networks": [], "expires_at": None}
    token = _with(draft, {**fields, **sealed(secret)})
    return secret, list(registrar.creation(KEY, token, who))


def _found(token: str, registrar: Registrar) -> Resource:
    refusal = InvitationError("this invitation is not valid")
    if not 0 < len(token) <= MAX_TOKEN or is_foreign_secret(token, registrar.environment):
        raise refusal
    row = registrar.registry.read(invitation_place(secret_hash(token)))
    if row is None:
        raise refusal
    organisation, now = row.body["organisation"], registrar.clock.now()
    try:
        registrar.read(ORGANISATION, PLATFORM, organisation)
        found = registrar.read(INVITATION, f"organisation#{organisation}", row.body["id"])
    except NotFoundError:
        raise refusal from None
    if found.fields["expires_at"] <= now:
        raise refusal
    return found


def _require_no_member(organisation: str, email: str, registrar: Registrar) -> None:
    # Says nothing of users who are not members: they are invited as strangers are.
    user = find_user(email, registrar)
    if user is not None and is_member(organisation, user.id, registrar):
        raise AlreadyExistsError("this person is a member already", field="email")


def _make_room(parent: str, email: str, actor: Actor, registrar: Registrar) -> None:
    """Delete an invitation of the same address that is over."""
    before = registrar.find(INVITATION, "email", f"{parent}/{email_key(email)}")
    if before is not None and before.fields["expires_at"] <= registrar.clock.now():
        registrar.delete(INVITATION, before, actor=actor)


def _drawn(registrar: Registrar) -> tuple[str, dict[str, Any]]:
    now = registrar.clock.now()
    token = new_secret(registrar.chance, registrar.environment, _TOKEN_PREFIX)
    return token, {
        "token_hash": secret_hash(token),
        "expires_at": now + LASTS_SECONDS,
        "mailed_at": now,
    }


def _drafted(kind: str, parent: str, id_: str, registrar: Registrar) -> Resource:
    now = registrar.clock.now()
    return Resource(kind, parent, id_, {}, created_at=now, updated_at=now)


def _with(resource: Resource, fields: Mapping[str, Any]) -> Resource:
    return Resource(
        resource.kind,
        resource.parent,
        resource.id,
        dict(fields),
        created_at=resource.created_at,
        updated_at=resource.updated_at,
    )


def _note(invitation: Resource, token: str, ports: InvitationPorts) -> Note:
    owner = ports.registrar.read(ORGANISATION, PLATFORM, invitation.organisation)
    name, fields = owner.fields["name"], invitation.fields
    # Behind the #, so that no server on the way has it in a log.
    way = (
        f"{ports.console_url}/accept-invitation#{token}"
        if ports.console_url
        else f"POST /api/v2/invitations/accept with the token {token}"
    )
    text = (
        f"{fields['invited_by']} invites you to the organisation {name} as {fields['role']}.\n\n"
        f"To accept within 7 days:\n\n{way}\n\n"
        "If you do not know what this is about, ignore this message: nothing happens then.\n"
    )
    return Note(fields["email"], f"Invitation to {name}", text)
