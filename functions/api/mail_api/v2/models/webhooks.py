"""Schemas of webhooks and of their calls."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mail_api.v2.models.base import Body, Dated, Listing, Moment, Name, Reference, View
from mailroom.domain.message import Views
from mailroom.domain.postal_words import WEBHOOK_EVENTS
from mailroom.domain.redaction import redact_url
from mailroom.domain.webhook_target import MAX_URL, is_topic


def _event(name: str) -> str:
    if name not in WEBHOOK_EVENTS:
        raise ValueError("there is no such event")
    return name


# The names are data of the domain, so the schema is made of them.
_EVENTS = WithJsonSchema({"type": "string", "enum": sorted(WEBHOOK_EVENTS)})
EventName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_event), _EVENTS]
Url = Annotated[str, StringConstraints(min_length=8, max_length=MAX_URL)]
Events = Annotated[list[EventName], Field(max_length=len(WEBHOOK_EVENTS))]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f-]{1,64}$")]


class WebhookCreate(Body):
    """A new webhook. No events means all of them."""

    name: Name
    url: Url = Field(description="An http or https URL, or the ARN of the organisation's topic")
    events: Events = []
    enabled: bool = True
    sign: bool = Field(default=True, description="Sign each call as Postal does")
    views: Views = Field(default=Views.ALL, description="human leaves out machines' opens, clicks")
    external_id: Reference | None = None


class WebhookUpdate(Body):
    """What may be changed of a webhook."""

    name: Name = ""
    url: Url = ""
    events: Events = []
    enabled: bool = True
    sign: bool = True
    views: Views = Views.ALL
    external_id: Reference | None = None


class Webhook(Dated):
    """A webhook. A password in its URL is not shown."""

    name: str
    url: str
    events: list[str] = []
    enabled: bool = True
    sign: bool = True
    views: Views = Views.ALL
    external_id: str | None = None
    deleted_at: float | None = None

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        return url if is_topic(url) else redact_url(url)


class Tested(View):
    """The call that a test queued."""

    uuid: str


class CallListing(Listing):
    """Which calls are wanted."""


class SentRequest(View):
    """What was sent."""

    body: str
    truncated: bool


class GivenAnswer(View):
    """What the endpoint answered; `status` is null when nothing came."""

    status: int | None
    body: str
    problem: str | None
    seconds: float


class WebhookCall(View):
    """One try of one call."""

    uuid: str
    event: str
    url: str
    attempt: int
    at: float
    replay: bool
    will_retry: bool
    request: SentRequest
    response: GivenAnswer


class Replay(Body):
    """Either one call by its uuid, or those of a time (Unix seconds)."""

    uuid: Uuid | None = None
    from_time: Moment | None = None
    to_time: Moment | None = None
    only_failed: bool = False

    @model_validator(mode="after")
    def _one_or_a_range(self) -> Any:
        one = self.uuid is not None
        both = self.from_time is not None and self.to_time is not None
        neither = self.from_time is None and self.to_time is None
        if one == both or (one and not neither):
            raise ValueError("give uuid, or from_time and to_time")
        if both and (self.from_time or 0) > (self.to_time or 0):
            raise ValueError("from_time must not be after to_time")
        return self


class Replayed(View):
    """How many calls were queued; `next_from` is where to go on, null when that was all."""

    replayed: int
    next_from: float | None
