"""Schemas of users, members and invitations."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Body, Dated, Listing, Name, TimeZone, View
from mailroom.domain.address import MAX_ADDRESS, parse_address
from mailroom.domain.tenancy.access import Role


def _address(text: str) -> str:
    return str(parse_address(text))


def _once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Email = Annotated[
    str, StringConstraints(min_length=3, max_length=MAX_ADDRESS), AfterValidator(_address)
]
ServerList = Annotated[
    list[Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{1,40}$")]],
    Field(max_length=100),
    AfterValidator(_once),
]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,40}$")]
_SERVERS = "Ids of the servers it is narrowed to; null: all of the organisation"


class UserCreate(Body):
    """A new user, who can do nothing yet: make a membership, and a token."""

    email: Email
    name: Name
    time_zone: TimeZone = "UTC"
    administrator: bool = Field(default=False, description="Of the platform: may do everything")


class UserUpdate(Body):
    """What may be changed of a user. One who is disabled gets in nowhere."""

    email: Email = ""
    name: Name = ""
    time_zone: TimeZone = ""
    administrator: bool = False
    disabled: bool = False


class MeUpdate(Body):
    """What users change of themselves."""

    name: Name = ""
    time_zone: TimeZone = ""


class UserListing(Listing):
    """A list of users, or the one with an e-mail address."""

    email: str = Field("", max_length=MAX_ADDRESS)


class User(Dated):
    """A person."""

    email: str
    name: str
    time_zone: str = "UTC"
    administrator: bool = False
    disabled: bool = False


class MembershipView(View):
    """A user's part in an organisation; `servers` is null for all of them."""

    organisation: str
    role: Role
    servers: list[str] | None = None
    created_at: float


class MemberCreate(Body):
    """A user made a member without an invitation."""

    user: Id
    role: Role
    servers: ServerList | None = Field(None, description=_SERVERS)


class MemberUpdate(Body):
    """What may be changed of a membership."""

    role: Role = Role.READ_ONLY
    servers: ServerList | None = None


class Member(Dated):
    """A member of an organisation. Its id is the user's."""

    name: str
    email: str
    role: Role
    servers: list[str] | None = Field(None, description=_SERVERS)


class InvitationCreate(Body):
    """Who is invited, and as what."""

    email: Email
    role: Role
    servers: ServerList | None = Field(None, description=_SERVERS)


class Invitation(Dated):
    """An invitation that nobody has accepted yet."""

    email: str
    role: Role
    servers: list[str] | None = None
    invited_by: str = ""
    mailed_at: float
    expires_at: float


class InvitationAccept(Body):
    """The token that was in the mail, and what a new user is called."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
    name: Name


class Accepted(View):
    """What accepting gives.

    `secret` is the first personal token of a new user, shown this once; somebody who is a user
    already gets none.
    """

    organisation: str
    user: str
    role: Role
    servers: list[str] | None = None
    secret: str | None = None
