"""Schemas of templates."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from mail_api.v2.models.base import Body, Dated, Name, Permalink, Reference, clean, one_line

MAX_HTML = 200_000  # characters; a row holds 400 KB
MAX_TEXT = 50_000

Html = Annotated[str, StringConstraints(max_length=MAX_HTML), AfterValidator(clean)]
# RFC 5322 section 2.1.1: the longest line of a header.
Subject = Annotated[str, StringConstraints(max_length=998), AfterValidator(one_line)]
Plain = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(clean)]


class Engine(StrEnum):
    """How placeholders are written."""

    HANDLEBARS = "handlebars"
    MUSTACHE = "mustache"


class TemplateCreate(Body):
    """A new template. It may be named by its id or its alias."""

    name: Name
    alias: Permalink | None = None
    subject: Subject = ""
    html: Html = ""
    text: Plain = ""
    engine: Engine = Engine.HANDLEBARS
    external_id: Reference | None = None


class TemplateUpdate(Body):
    """What may be changed of a template."""

    name: Name = ""
    alias: Permalink | None = None
    subject: Subject = ""
    html: Html = ""
    text: Plain = ""
    engine: Engine = Engine.HANDLEBARS
    external_id: Reference | None = None


class Template(Dated):
    """A template."""

    name: str
    alias: str | None = None
    subject: str = ""
    html: str = ""
    text: str = ""
    engine: Engine = Engine.HANDLEBARS
    external_id: str | None = None
    deleted_at: float | None = None
