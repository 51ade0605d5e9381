"""Schemas of routes and endpoints."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator, model_validator

from mail_api.v2.models.base import Body, Dated, Name, Reference
from mail_api.v2.models.pools import HostName
from mail_api.v2.models.servers import EmailAddress
from mail_api.v2.models.webhooks import Url
from mailroom.domain.redaction import redact_url

MAX_ENDPOINTS = 20
RouteName = Annotated[
    str, StringConstraints(max_length=64, pattern=r"^(?:[a-z0-9][a-z0-9.-]*|\*|__returnpath__)$")
]


class RouteMode(StrEnum):
    """What becomes of mail to a route."""

    ENDPOINT = "endpoint"
    ACCEPT = "accept"
    HOLD = "hold"
    BOUNCE = "bounce"
    REJECT = "reject"


class SpamMode(StrEnum):
    """What becomes of spam."""

    MARK = "mark"
    QUARANTINE = "quarantine"
    FAIL = "fail"


class RouteUpdate(Body):
    """What may be changed of a route; its address stays."""

    mode: RouteMode = RouteMode.ENDPOINT
    spam_mode: SpamMode = SpamMode.MARK
    endpoint: Reference | None = None
    more_endpoints: Annotated[list[Reference], Field(max_length=MAX_ENDPOINTS)] = []
    external_id: Reference | None = None


class RouteCreate(RouteUpdate):
    """A new route: `name` at `domain`, `*` for the rest of a domain, or `__returnpath__`.

    `token` is for platform administrators: an importer keeps the address mail is forwarded to.
    """

    name: RouteName
    domain: HostName | None = Field(None, description="A verified domain; not for __returnpath__")
    token: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{8}$")] | None = None

    @model_validator(mode="after")
    def _has_a_domain(self) -> Any:
        if (self.name == "__returnpath__") == (self.domain is not None):
            raise ValueError("a route has a domain, __returnpath__ has none")
        return self


class Route(Dated):
    """A route. `forward_token` at the route domain reaches it without MX records."""

    name: str
    domain: str | None = None
    token: str
    mode: RouteMode
    spam_mode: SpamMode = SpamMode.MARK
    endpoint: str | None = None
    more_endpoints: list[str] = []
    external_id: str | None = None
    deleted_at: float | None = None


class EndpointType(StrEnum):
    """What an endpoint is."""

    HTTP = "http"
    SMTP = "smtp"
    ADDRESS = "address"


class Encoding(StrEnum):
    """How an HTTP endpoint gets a message."""

    JSON = "json"
    FORM = "form"


class Format(StrEnum):
    """What an HTTP endpoint gets."""

    HASH = "hash"
    RAW = "raw"


class EndpointTls(StrEnum):
    """How an SMTP endpoint is spoken to."""

    NONE = "none"
    AUTO = "auto"
    STARTTLS = "starttls"
    TLS = "tls"


class EndpointUpdate(Body):
    """What may be changed of an endpoint; fields of another type are refused."""

    name: Name = ""
    url: Url | None = None
    encoding: Encoding | None = None
    format: Format | None = None
    strip_replies: bool | None = None
    include_attachments: bool | None = None
    timeout: Annotated[int, Field(ge=5, le=60)] | None = None
    hostname: HostName | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    tls: EndpointTls | None = None
    address: EmailAddress | None = None
    external_id: Reference | None = None


class EndpointCreate(EndpointUpdate):
    """A new endpoint: `url` for http, `hostname` for smtp, `address` for address."""

    name: Name
    type: EndpointType


class Endpoint(Dated):
    """An endpoint. A password in its URL is not shown."""

    name: str
    type: EndpointType
    url: str | None = None
    encoding: Encoding | None = None
    format: Format | None = None
    strip_replies: bool | None = None
    include_attachments: bool | None = None
    timeout: int | None = None
    hostname: str | None = None
    port: int | None = None
    tls: EndpointTls | None = None
    address: str | None = None
    external_id: str | None = None
    deleted_at: float | None = None

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        return None if url is None else redact_url(url)
