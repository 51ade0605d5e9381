"""Schemas of mail servers."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Dated, Name, Permalink, Reason, Reference, View
from mailroom.domain.message import METADATA_DAYS, RAW_DAYS, Mode, OnSuppressed
from mailroom.domain.send_limit import LimitAction

MAX_LIMIT = 1_000_000_000

Count = Annotated[int, Field(ge=1, le=MAX_LIMIT)]
EmailAddress = Annotated[
    str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]+$")
]
Days = Annotated[int, Field(ge=1, le=400)]
Percent = Annotated[float, Field(gt=0, le=100)]


class Limits(Body):
    """How many messages a server may send in any hour, in a day and in a month."""

    hour: Count | None = None
    day: Count | None = None
    month: Count | None = None
    action: LimitAction = Field(
        default=LimitAction.HOLD,
        description="What becomes of one message more: held for a person, delayed until the"
        " limit has room, or rejected when it is handed in",
    )


class Brake(Body):
    """Above which complaint and hard bounce rates (per cent of a day's mail) a server is braked."""

    complaints: Percent = 0.1
    hard_bounces: Percent = 5.0


class Settings(Body):
    """What a server's own people may set."""

    mode: Mode = Field(Mode.LIVE, description="development accepts and holds everything, sandbox"
                       " accepts and simulates: nothing leaves")  # fmt: skip
    limits: Limits = Limits()
    retention_raw_days: Days = Field(RAW_DAYS, description="How long raw messages are kept")
    retention_days: Days = Field(METADATA_DAYS, description="How long what is known of them is")
    privacy: bool = Field(default=False, description="Keep clients' and readers' addresses out")
    postmaster_address: EmailAddress | None = None
    resent_sender: bool = False
    suppressed: OnSuppressed = OnSuppressed.SUPPRESS
    track_opens: bool = True
    track_clicks: bool = True
    pool: Reference | None = Field(None, description="Id of the IP pool it sends from")
    external_id: Reference | None = None


class _Checked(Settings):
    @model_validator(mode="after")
    def _metadata_outlives_messages(self) -> Any:
        if self.retention_days < self.retention_raw_days:
            raise ValueError("retention_days must not be less than retention_raw_days")
        return self


class ServerCreate(_Checked):
    """A new server. Without a permalink one is made from the name.

    `token` and `allow_sender` are for platform administrators: an importer keeps the token that
    stands in return paths.
    """

    name: Name
    permalink: Permalink | None = None
    token: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{6}$")] | None = None
    allow_sender: bool = False
    brake: Brake | None = None


class ServerUpdate(Settings):
    """What may be changed of a server. Its permalink is part of SMTP logins and stays.

    `allow_sender` and `brake` are for platform administrators.
    """

    name: Name = ""
    allow_sender: bool = False
    brake: Brake | None = None


class ServerSuspend(Body):
    """Why a server is suspended; its people read this."""

    reason: Reason


class LimitsView(View):
    """A server's send limits."""

    hour: int | None = None
    day: int | None = None
    month: int | None = None
    action: LimitAction = LimitAction.HOLD


class BrakeView(View):
    """A server's brake thresholds in per cent."""

    complaints: float = 0.1
    hard_bounces: float = 5.0


class Server(Dated):
    """A mail server: the unit that owns credentials, domains, webhooks and mail."""

    organisation: str
    name: str
    permalink: str
    token: str = Field(description="Six characters that name it in return paths")
    mode: Mode = Mode.LIVE
    suspended: str | None = None
    limits: LimitsView = LimitsView()
    retention_raw_days: int = RAW_DAYS
    retention_days: int = METADATA_DAYS
    privacy: bool = False
    postmaster_address: str | None = None
    allow_sender: bool = False
    resent_sender: bool = False
    suppressed: OnSuppressed = OnSuppressed.SUPPRESS
    track_opens: bool = True
    track_clicks: bool = True
    pool: str | None = None
    brake: BrakeView | None = None
    external_id: str | None = None
    deleted_at: float | None = None
