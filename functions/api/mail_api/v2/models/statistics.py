"""Schemas of statistics, usage and brakes."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Moment, Query, Reason, View, clean, one_line
from mailroom.domain.brake import MAX_APPEAL, MAX_LIFT_DAYS, MAX_LIFT_FACTOR, BrakeState, Cause
from mailroom.domain.send_limit import LimitAction, Period
from mailroom.domain.statistic import Dimension
from mailroom.usecases.statistics import By

Value = Annotated[str, StringConstraints(max_length=200), AfterValidator(one_line)]
_SPLITS = (Dimension.DOMAIN, Dimension.TAG, Dimension.PROVIDER, Dimension.STREAM)


class Range(Query):
    """For which hours, days or months of UTC numbers are wanted."""

    by: By = Field(By.DAY, description="How long each number is for")
    from_time: Moment | None = Field(
        None, description="In the first one; without it there are 24 hours, 30 days or 12 months"
    )
    to_time: Moment | None = Field(None, description="In the last one; without it, now")


class Split(Range):
    """Statistics of a server, or of its part that has one value of one dimension."""

    domain: Value = Field("", description="Of one domain of senders")
    tag: Value = Field("", description="Of one tag")
    provider: Value = Field("", description="Of one provider of recipients (gmail, microsoft ...)")
    stream: Value = Field("", description="Of one stream")

    @model_validator(mode="after")
    def _by_one(self) -> "Split":
        if sum(bool(getattr(self, str(each))) for each in _SPLITS) > 1:
            raise ValueError("at most one of domain, tag, provider and stream")
        return self

    @property
    def slot(self) -> tuple[Dimension, str]:
        """The dimension that was asked for, and its value."""
        given = ((each, getattr(self, str(each))) for each in _SPLITS)
        return next((pair for pair in given if pair[1]), (Dimension.SERVER, ""))


class Values(Range):
    """Of which dimension the values are wanted."""

    dimension: Dimension = Field(Dimension.TAG, description="domain, tag, provider or stream")


class Counts(View):
    """What is counted. An open or click counts as human when no rule says that it was not."""

    accepted: int = Field(0, description="Recipients of accepted messages")
    submissions: int = Field(0, description="Accepted messages")
    delivered: int = 0
    deferred: int = Field(0, description="Attempts that will be repeated")
    bounced: int = 0
    bounced_hard: int = Field(0, description="The address is bad")
    bounced_soft: int = Field(0, description="This message was refused for good")
    bounced_block: int = Field(0, description="The sender was refused")
    expired: int = Field(0, description="Given up after its lifetime")
    uncertain: int = Field(0, description="Attempts whose final reply was lost")
    uncertain_final: int = Field(0, description="Given up without knowing")
    suppressed: int = 0
    scheduled: int = 0
    retried: int = 0
    held: int = 0
    released: int = 0
    cancelled: int = 0
    complained: int = 0
    opened: int = Field(0, description="All openings, machines' too")
    opened_unique: int = Field(0, description="Messages that were opened")
    opened_human: int = 0
    opened_human_unique: int = Field(0, description="Messages that a person opened")
    clicked: int = 0
    clicked_unique: int = 0
    clicked_human: int = 0
    clicked_human_unique: int = 0


class PointView(View):
    """The counts of what begins at `start` (Unix seconds)."""

    start: int
    counts: Counts


class SeriesView(View):
    """Consecutive hours, days or months, the empty ones included, and their sum."""

    by: By
    points: list[PointView]
    total: Counts


class ValuesView(View):
    """Values that have statistics, sorted. `(other)` stands for the ones over 200 in a day."""

    dimension: Dimension
    values: list[str]


class LimitUseView(View):
    """How much of a send limit is used. The hour rolls, so it has no end."""

    period: Period
    limit: int
    used: int
    resets_at: float | None = None


class AcceptedView(View):
    """Recipients that were accepted in this hour, day and month of UTC."""

    hour: int
    day: int
    month: int


class RatesView(View):
    """What the mail of the last 24 hours met with, as shares of it."""

    delivered: int
    volume: int = Field(description="Delivered or bounced")
    complaint_rate: float
    bounce_rate: float = Field(description="Hard bounces of the volume")


class UsageView(View):
    """What a server uses of what it may. `queued` and `held` are approximate."""

    limits: list[LimitUseView]
    action: LimitAction = Field(description="What becomes of one message more")
    accepted: AcceptedView
    queued: int
    held: int
    rates: RatesView


class BrakeChange(View):
    """One change of a brake's state."""

    at: float
    event: str
    reason: str


class BrakesView(View):
    """How the brake of a server stands, and what it is judged by."""

    state: BrakeState
    since: float | None = Field(description="Unix seconds; null if it never changed")
    reason: str
    cause: Cause | None = None
    complaint_limit: float = Field(description="Share above which it warns")
    bounce_limit: float = Field(description="Share above which it warns")
    factor: float = Field(description="By which the limits are raised until `lifted_until`")
    lifted_until: float | None = None
    appeal: str = ""
    appealed_at: float | None = None
    rates: RatesView
    history: list[BrakeChange] = Field(description="The newest changes of 60 days")


class Appeal(Body):
    """Why a brake should be lifted, and what was done."""

    text: Annotated[
        str, StringConstraints(min_length=1, max_length=MAX_APPEAL), AfterValidator(clean)
    ]


class Lift(Body):
    """For how long a server may send with higher limits."""

    days: float = Field(7.0, gt=0, le=MAX_LIFT_DAYS)
    factor: float = Field(2.0, ge=1, le=MAX_LIFT_FACTOR, description="How many times the limits")
    reason: Reason
