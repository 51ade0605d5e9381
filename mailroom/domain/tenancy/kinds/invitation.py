"""Invitations: an e-mail address that may become a member by the token that was mailed to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.kinds.user import email_key
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique

LASTS_SECONDS = 7 * 86_400.0


def invitation_place(token_hash: str) -> Place:
    """Return where the row lies that a token leads to."""
    return Place(f"invitation#{token_hash}")


def _email(parent: str, fields: Mapping[str, Any]) -> str | None:
    return f"{parent}/{email_key(fields['email'])}"


def _runtime(invitation: Resource) -> Sequence[Record]:
    fields = invitation.fields
    body = {"organisation": invitation.organisation, "id": invitation.id}
    place = invitation_place(fields["token_hash"])
    return [Record(place, body, expires_at=fields["expires_at"], exclusive=True)]


INVITATION = ResourceKind(
    name="invitation",
    prefix="inv",
    most=200,
    recoverable=False,
    unique=(Unique("email", _email),),
    runtime=_runtime,
    private=frozenset({"token_hash"}),
)
