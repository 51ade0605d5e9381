"""Schemas of what operators publish to hosts: shaping and reply rules, and of trying them."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Body, Query, Reason, View, clean, one_line
from mailroom.domain.reply import Phase

MAX_REPLIES = 2_000
Document = Annotated[dict[str, Any], Field(description="The whole document, as JSON")]
Number = Annotated[int, Field(ge=1, le=999_999_998)]
ReplyText = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(clean)]
ProviderName = Annotated[str, StringConstraints(max_length=64), AfterValidator(one_line)]
Day = Annotated[str, StringConstraints(pattern=r"^20\d\d-[01]\d-[0-3]\d$")]


class DocumentCheck(Body):
    """A document to look at."""

    document: Document


class DocumentPublish(Body):
    """A document to publish. `expected` is the version it was made from, 0 for none: refused if
    another was published since."""

    document: Document
    reason: Reason
    expected: int | None = Field(None, ge=0, le=999_999_998)


class DocumentRollback(Body):
    """A version to go back to: its content becomes a new version."""

    to: Number
    reason: Reason
    expected: int | None = Field(None, ge=1, le=999_999_998)


class DocumentDiff(Body):
    """Two of: a document, a version, what is published now.

    From `old` (what is published now without it) to `new`, or to the `document`.
    """

    document: Document | None = None
    old: Number | None = None
    new: Number | None = None


class VersionView(View):
    """A published version. `back_to` is the version whose content it repeats, null for none."""

    number: int
    author: str
    reason: str
    at: float
    size: int
    digest: str
    back_to: int | None


class PublishedView(View):
    """A document with its version, which is null for what a release brings along."""

    version: VersionView | None
    document: dict[str, Any]


class ProblemsView(View):
    """What is wrong with a document; nothing if it may be published."""

    problems: list[str]


class LinesView(View):
    """What differs, line by line."""

    lines: list[str]


class ReplyGiven(Body):
    """A reply of a receiver."""

    reply: ReplyText = Field(description="With its code in front: 421 4.7.28 ...")
    phase: Phase = Field(Phase.MAIL, strict=False, description="The step that it answers")
    provider: ProviderName = "other"


class ReplyTest(ReplyGiven):
    """A reply to judge, by the published rules or by those of `document`."""

    document: Document | None = None


class JudgementView(View):
    """What the rules say of a reply. `rule` is the one that decided, "" if none knew it; `also`
    are others that match. `permanent` null leaves it to the code."""

    rule: str
    also: list[str]
    scope: str
    category: str
    permanent: bool | None
    suppress: bool
    retry_after: float | None
    actions: list[dict[str, Any]]
    trigger: dict[str, Any]


class RecordedReply(ReplyGiven):
    """A reply that came so many times."""

    times: int = Field(1, ge=1, le=1_000_000_000)


class DryRun(Body):
    """What to try a document's rules on: `replies`, or those in the history of a server's
    messages that were accepted on a day."""

    document: Document | None = None
    replies: Annotated[list[RecordedReply], Field(max_length=MAX_REPLIES)] = []
    server: Annotated[str, StringConstraints(max_length=64), AfterValidator(one_line)] = ""
    day: Day | None = None


class FiredView(View):
    """A rule and how often it would have decided; "" counts what nobody knew."""

    rule: str
    times: int


class ChangedView(View):
    """A reply on which the published rules and those that were tried do not agree."""

    reply: str
    phase: str
    provider: str
    times: int
    before: JudgementView
    after: JudgementView


class DryRunView(View):
    """What would have been. `messages` were looked at, 500 at most; `is_complete` says whether
    that were all of the day."""

    replies: int
    changed: int
    messages: int
    is_complete: bool
    fired: list[FiredView]
    examples: list[ChangedView]


class UnknownListing(Query):
    """Of which day unknown replies are wanted."""

    day: Day | None = Field(None, description="UTC; today without it")
    limit: int = Field(50, ge=1, le=500)
    cursor: str = Field("", max_length=512)


class UnknownView(View):
    """A reply no rule knew, without what differs from one to the next, and how often it came."""

    count: int
    provider: str
    phase: str
    code: int
    text: str
