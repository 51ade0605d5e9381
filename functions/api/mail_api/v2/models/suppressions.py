"""Schemas of suppressions, and of the files they come in and go out in."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Listing, Moment, Query, Reference, View, one_line
from mail_api.v2.models.streams import StreamName
from mailroom.domain.suppression import MAX_DETAIL, Reason
from mailroom.usecases.suppression_import import MAX_FILE

MAX_INLINE = 700_000  # characters of a file sent in the call itself
AddressText = Annotated[str, StringConstraints(min_length=3, max_length=254)]
Stream = Annotated[StreamName | Literal[""], Field(description="A stream of the server alone")]

Detail = Annotated[str, StringConstraints(max_length=MAX_DETAIL), AfterValidator(one_line)]


class Form(StrEnum):
    """How the lines of a file are to be read."""

    CSV = "csv"
    JSON_LINES = "jsonl"


class Suppression(View):
    """An address that gets no mail any more; null once the person was erased."""

    address: str | None
    scope: str
    reason: Reason
    detail: str
    source: str
    created_at: float
    expires_at: float | None


class SuppressionCreate(Body):
    """One more. What is there stays, unless the new reason is stronger or lasts longer."""

    address: AddressText
    reason: Reason = Field(default=Reason.MANUAL, strict=False)
    detail: Detail = ""
    expires_at: Moment | None = None


class ServerSuppressionCreate(SuppressionCreate):
    """One more, for all a server sends or for one stream of it."""

    stream: Stream = ""


class SuppressionListing(Listing):
    """How a list of suppressions is asked for. With `reason` a page may be short."""

    reason: Reason | None = None


class ServerSuppressionListing(SuppressionListing):
    """How a list of a server's suppressions is asked for."""

    stream: Stream = ""


class InStream(Query):
    """Whether one stream's suppressions are meant rather than all a server sends."""

    stream: Stream = ""


class ImportCreate(Body):
    """A file to import: its `text`, or the `upload` it was put at. `reason` is that of lines
    that name none."""

    format: Form | None = Field(default=None, strict=False)
    reason: Reason = Field(default=Reason.IMPORT, strict=False)
    text: Annotated[str, StringConstraints(max_length=MAX_INLINE)] | None = None
    upload: Reference | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ImportCreate":
        if (self.text is None) == (self.upload is None):
            raise ValueError("give either text or upload")
        return self


class ServerImportCreate(ImportCreate):
    """A file to import into a server's suppressions, or one stream's."""

    stream: Stream = ""


class ExportCreate(Body):
    """Which suppressions to export; without a reason all."""

    reason: Reason | None = Field(default=None, strict=False)


class ServerExportCreate(ExportCreate):
    """Which of a server's suppressions to export, or of one stream's."""

    stream: Stream = ""


class UploadCreate(Body):
    """How many octets the file has that will be put there: exactly."""

    size: int = Field(ge=1, le=MAX_FILE)


class Upload(View):
    """Where to PUT a file, within an hour and without a key, and what to call it afterwards."""

    upload: str
    url: str
    method: Literal["PUT"] = "PUT"
    expires_at: float
