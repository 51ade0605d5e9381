"""Schemas of bearer keys and personal tokens."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Body, Dated, Moment, Name
from mailroom.domain.tenancy.access import ALL, Scope
from mailroom.domain.tenancy.kinds.secret import DEFAULT_OVERLAP, MAX_OVERLAP
from mailroom.domain.tenancy.usage import Usage

MAX_NETWORKS = 32


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError("not an IP address or a network such as 192.0.2.0/24") from error


def _once(values: list[str]) -> list[str]:
    return list(dict.fromkeys(values))


Network = Annotated[str, StringConstraints(max_length=64), AfterValidator(_network)]
Networks = Annotated[
    list[Network],
    Field(max_length=MAX_NETWORKS, description="Where it may be used from; empty: anywhere"),
    AfterValidator(_once),
]
Scopes = Annotated[
    list[Scope | Literal["*"]],
    Field(
        min_length=1,
        max_length=64,
        description=f"What it may do, no more than its maker may; `{ALL}` for all of that",
    ),
    AfterValidator(_once),
]
Expiry = Annotated[Moment | None, Field(description="When it ends; null: never")]


class KeyCreate(Body):
    """A new key. Its secret is in the answer, and nowhere afterwards."""

    name: Name
    scopes: Scopes
    networks: Networks = []
    expires_at: Expiry = None


class KeyUpdate(Body):
    """What may be changed of a key. For a new secret, rotate it."""

    name: Name = ""
    scopes: Scopes = []
    networks: Networks = []
    expires_at: Expiry = None


class Rotate(Body):
    """How long the secret there was works beside the new one."""

    overlap_seconds: int = Field(
        DEFAULT_OVERLAP, ge=0, le=MAX_OVERLAP, description="Seconds; 0 ends it at once"
    )


class Secretive(Dated):
    """What everything with a secret tells of it."""

    hint: str | None = Field(None, description="The last characters of the secret")
    rotated_at: float | None = None
    old_until: float | None = Field(None, description="When the secret before this one ends")
    last_used_at: float | None = Field(None, description="To about an hour")
    usage: Usage = Usage.UNUSED


class Key(Secretive):
    """A bearer key."""

    name: str
    scopes: list[str]
    networks: list[str] = []
    expires_at: float | None = None


class KeyShown(Key):
    """A key with its new secret, which is shown this once."""

    secret: str
