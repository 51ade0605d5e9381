"""Schemas of organisations."""

from pydantic import Field

from mail_api.v2.models.base import Body, Dated, Name, Permalink, Reason, Reference, TimeZone


class OrganisationCreate(Body):
    """A new organisation. Without a permalink one is made from the name."""

    name: Name
    permalink: Permalink | None = None
    time_zone: TimeZone = "UTC"
    external_id: Reference | None = Field(None, description="What your own systems call it")


class OrganisationUpdate(Body):
    """What may be changed of an organisation. Its permalink is part of SMTP logins and stays."""

    name: Name = ""
    time_zone: TimeZone = ""
    default_pool: Reference | None = None
    external_id: Reference | None = None


class Suspend(Body):
    """Why something is suspended; its people read this."""

    reason: Reason


class Organisation(Dated):
    """An organisation: the owner of servers, people and shared domains."""

    name: str
    permalink: str
    time_zone: str
    default_pool: str | None = None
    external_id: str | None = None
    suspended: str | None = Field(None, description="The reason while it is suspended")
    deleted_at: float | None = None
