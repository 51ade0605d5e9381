"""Schemas of streams."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from mail_api.v2.models.base import Body, Description, Reference, View

StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]


class StreamClass(StrEnum):
    """What mail of a stream is, for schedules and suppressions."""

    TRANSACTIONAL = "transactional"
    BROADCAST = "broadcast"


class StreamCreate(Body):
    """A new stream."""

    name: StreamName
    class_: StreamClass = Field(alias="class")
    description: Description = ""
    pool: Reference | None = None


class StreamUpdate(Body):
    """What may be changed of a stream."""

    description: Description = ""
    pool: Reference | None = None


class Stream(View):
    """A stream; its id is its name."""

    id: str
    name: str
    class_: StreamClass = Field(alias="class")
    description: str = ""
    pool: str | None = None
    created_at: float
    updated_at: float
