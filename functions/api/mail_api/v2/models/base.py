"""What all schemas share: strictness, pages, and the kinds of strings there are."""

import re
from typing import Annotated, Generic, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_PAGE = 100
DEFAULT_PAGE = 25
# Control characters, and the surrogates that JSON can smuggle in and UTF-8 cannot say.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNFIT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Body(BaseModel):
    """What a caller sends. An unknown field is an error, so that a slip is never silent."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Query(BaseModel):
    """The query string of a call; its values are text, so they are converted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class View(BaseModel):
    """What we answer."""

    model_config = ConfigDict(extra="ignore")


class Listing(Query):
    """How a list is asked for: `cursor` is the `next_cursor` of the page before."""

    limit: int = Field(DEFAULT_PAGE, ge=1, le=MAX_PAGE)
    cursor: str = Field("", max_length=512)


class DeletedListing(Listing):
    """A list that can also show what was deleted and can be had back."""

    deleted: bool = False


V = TypeVar("V", bound=View)


class Page(View, Generic[V]):
    """Part of a list. `next_cursor` is null on the last page."""

    data: list[V]
    next_cursor: str | None = None


class Dated(View):
    """What every resource tells of itself. Times are Unix seconds."""

    id: str
    created_at: float
    updated_at: float


class Empty(Body):
    """A body without fields, or none at all."""


def one_line(text: str) -> str:
    """Return a text without control characters as it is. Raises ValueError for another."""
    if _UNFIT.search(text):
        raise ValueError("control characters are not allowed")
    return text


def clean(text: str) -> str:
    """Return a text whose only control characters are line ends and tabs. Raises ValueError."""
    if _UNFIT_TEXT.search(text):
        raise ValueError("control characters are not allowed")
    return text


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError("not a time zone of the IANA database") from None
    return name


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(one_line)]
Description = Annotated[str, StringConstraints(max_length=500), AfterValidator(one_line)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(one_line)]
Text = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(clean)]
Permalink = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$")]
Reference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_time_zone)]
Moment = Annotated[float, Field(ge=0, le=1e11, description="Unix seconds")]
