"""Users: people, each known by an e-mail address. What they may do are their memberships."""

from collections.abc import Mapping, Sequence
from typing import Any

from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.tenancy.resource import Resource, ResourceKind, Unique


def email_key(email: str) -> str:
    """Return an address as it is compared: Postal's rule, no case in either part."""
    return email.casefold()


def _email(_: str, fields: Mapping[str, Any]) -> str | None:
    return email_key(fields["email"])


def _runtime(user: Resource) -> Sequence[Record]:
    fields = user.fields
    body = {
        "name": fields["name"],
        "administrator": bool(fields.get("administrator")),
        "disabled": bool(fields.get("disabled")),
    }
    return [Record(Place(user.owner), body)]


# A deleted person is gone: what is kept of somebody for a month has not been erased.
USER = ResourceKind(
    name="user",
    prefix="usr",
    most=None,  # administrators make them, and counting would read them all
    recoverable=False,
    unique=(Unique("email", _email),),
    runtime=_runtime,
)
