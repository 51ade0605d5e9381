"""Schemas of IP pools, their addresses and the rules that choose a pool."""

import ipaddress
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Dated, Name, Reference, one_line

MAX_CONDITIONS = 100
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"^{_LABEL}(?:\.{_LABEL})+$"


def _ipv4(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


def _ipv6(text: str) -> str:
    return str(ipaddress.IPv6Address(text))


Ipv4 = Annotated[str, StringConstraints(max_length=15), AfterValidator(_ipv4)]
Ipv6 = Annotated[str, StringConstraints(max_length=45), AfterValidator(_ipv6)]
HostName = Annotated[str, StringConstraints(max_length=253, pattern=_HOST)]
# A whole address, or a domain alone.
Condition = Annotated[
    str, StringConstraints(min_length=1, max_length=320), AfterValidator(one_line)
]
Conditions = Annotated[list[Condition], Field(max_length=MAX_CONDITIONS)]
References = Annotated[list[Reference], Field(max_length=MAX_CONDITIONS)]


class Purpose(StrEnum):
    """What a pool is for."""

    TRANSACTIONAL = "transactional"
    BROADCAST = "broadcast"
    DEDICATED = "dedicated"
    PENALTY = "penalty"
    MIXED = "mixed"


class PoolCreate(Body):
    """A new pool. `organisations` null shares it with all, a list is who may send from it."""

    name: Name
    purpose: Purpose = Purpose.MIXED
    organisations: References | None = None
    overflow: Reference | None = Field(None, description="Pool that takes what this one cannot")
    prefer_ipv6: bool = Field(default=False, description="Try IPv6 first where both sides have it")
    default: bool = Field(
        default=False,
        description="Takes mail that nothing chooses a pool for; of several, the newest",
    )
    external_id: Reference | None = None


class PoolUpdate(Body):
    """What may be changed of a pool."""

    name: Name = ""
    purpose: Purpose = Purpose.MIXED
    organisations: References | None = None
    overflow: Reference | None = None
    prefer_ipv6: bool = False
    default: bool = False
    external_id: Reference | None = None


class Pool(Dated):
    """An IP pool."""

    name: str
    purpose: Purpose = Purpose.MIXED
    organisations: list[str] | None = None
    overflow: str | None = None
    prefer_ipv6: bool = False
    default: bool = False
    external_id: str | None = None
    deleted_at: float | None = None


class AddressState(StrEnum):
    """How far an address is."""

    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    DRAINING = "draining"
    DISABLED = "disabled"


class AddressCreate(Body):
    """A source address of a pool."""

    ipv4: Ipv4
    ipv6: Ipv6 | None = None
    hostname: HostName = Field(description="What we say in EHLO; its PTR must be the same")
    private: Ipv4 | None = Field(None, description="What a host binds to, if that is another one")
    weight: int = Field(100, ge=0, le=100)
    state: AddressState = AddressState.COLD
    plan: Reference | None = Field(None, description="Name of its warm-up plan")
    host: Reference | None = Field(None, description="Name of the only host that may use it")
    external_id: Reference | None = None


class AddressUpdate(Body):
    """What may be changed of an address."""

    ipv6: Ipv6 | None = None
    hostname: HostName = ""
    private: Ipv4 | None = None
    weight: int = Field(100, ge=0, le=100)
    state: AddressState = AddressState.COLD
    plan: Reference | None = None
    host: Reference | None = None
    external_id: Reference | None = None


class Address(Dated):
    """A source address of a pool."""

    ipv4: str
    ipv6: str | None = None
    hostname: str
    private: str | None = None
    weight: int = 100
    state: AddressState = AddressState.COLD
    plan: str | None = None
    host: str | None = None
    external_id: str | None = None
    deleted_at: float | None = None


class RuleUpdate(Body):
    """What may be changed of a rule."""

    pool: Reference = ""
    from_: Conditions = Field([], alias="from")
    to: Conditions = []
    tags: References = []
    credentials: References = []
    streams: References = []
    external_id: Reference | None = None


class RuleCreate(RuleUpdate):
    """A rule: a message that meets any of its conditions goes out through its pool.

    Newer rules are asked first, those of the server before those of the organisation.
    """

    pool: Reference

    @model_validator(mode="after")
    def _has_a_condition(self) -> Any:
        if not (self.from_ or self.to or self.tags or self.credentials or self.streams):
            raise ValueError("a rule needs a condition")
        return self


class Rule(Dated):
    """A pool rule."""

    pool: str
    from_: list[str] = Field([], alias="from")
    to: list[str] = []
    tags: list[str] = []
    credentials: list[str] = []
    streams: list[str] = []
    external_id: str | None = None
    deleted_at: float | None = None
