"""Schemas of sending: a message as its author gives it, and what became of it."""

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Moment, View, clean, one_line
from mailroom.domain.labels import (
    MAX_METADATA,
    MAX_METADATA_NAME,
    MAX_METADATA_VALUE,
    MAX_TAG,
    MAX_TAGS,
    is_stream,
)
from mailroom.domain.lifecycle import State
from mailroom.domain.merge import MAX_NAME, MAX_PAIRS, MAX_VALUE
from mailroom.usecases.accept import MAX_ACCEPTED_RECIPIENTS, MAX_SCHEDULE_SECONDS

MAX_ATTACHMENTS = 250
MAX_HEADERS = 100
MAX_CONTENT = 64 * 1024 * 1024  # characters; the largest message decides before that
MAX_UPLOAD = 50 * 1024 * 1024  # octets
_DAYS = int(MAX_SCHEDULE_SECONDS // 86_400)


def _stream(name: str) -> str:
    if not is_stream(name):
        raise ValueError("1 to 50 of a-z, 0-9 and hyphens, which do not stand at its ends")
    return name


_OneLine = AfterValidator(one_line)
Content = Annotated[str, StringConstraints(max_length=MAX_CONTENT)]
Written = Annotated[str, StringConstraints(min_length=3, max_length=600), _OneLine]
Address = Annotated[str, StringConstraints(min_length=3, max_length=320), _OneLine]
DisplayName = Annotated[str, StringConstraints(max_length=200), _OneLine]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=255), _OneLine]
MediaType = Annotated[str, StringConstraints(min_length=3, max_length=500), _OneLine]
ContentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._%+@-]{1,120}$")]
UploadId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,60}$")]
Subject = Annotated[str, StringConstraints(max_length=2_000), _OneLine]
StreamName = Annotated[str, StringConstraints(max_length=50), AfterValidator(_stream)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TAG), _OneLine]
PlaceName = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=r"^[A-Za-z0-9_.-]+$")]
PlaceText = Annotated[str, StringConstraints(max_length=MAX_VALUE), AfterValidator(clean)]
Substitutions = Annotated[
    dict[PlaceName, PlaceText],
    Field(max_length=MAX_PAIRS, description="Texts for {{name}} in the subject and the bodies"),
]
DataName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_METADATA_NAME), _OneLine]
DataText = Annotated[str, StringConstraints(max_length=MAX_METADATA_VALUE), _OneLine]
Metadata = Annotated[dict[DataName, DataText], Field(max_length=MAX_METADATA)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[!-9;-~]{1,100}$")]
HeaderText = Annotated[str, StringConstraints(max_length=10_000), _OneLine]


class Mailbox(Body):
    """A mailbox; `"Ann <ann@example.org>"` is the same in one string."""

    email: Address
    name: DisplayName = ""


class Recipient(Mailbox):
    """A recipient, with texts of its own for the placeholders of the message."""

    substitutions: Substitutions = Field(default_factory=dict)


Recipients = Annotated[list[Written | Recipient], Field(max_length=MAX_ACCEPTED_RECIPIENTS)]
ReplyTo = Written | Mailbox | Annotated[list[Written | Mailbox], Field(max_length=20)]


class Attachment(Body):
    """A file: its `content` in base64, or the `upload` it was put at before.

    With a `content_id` the HTML may show it as `cid:<content_id>`.
    """

    name: FileName
    content_type: MediaType = "application/octet-stream"
    content: Content | None = None
    upload: UploadId | None = None
    content_id: ContentId | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Attachment":
        if (self.content is None) == (self.upload is None):
            raise ValueError("give either content or upload")
        return self


class MessageSend(Body):
    """A message to send: written out, or `raw`, a whole one in base64.

    Of a raw message `to`, `cc` and `bcc` are its envelope and nothing of it is rewritten but
    links; its own header says who it is from.
    """

    from_: Written | Mailbox | None = Field(None, alias="from", description="The author; for a raw"
                                            " message its envelope sender")  # fmt: skip
    to: Recipients = Field(default_factory=list)
    cc: Recipients = Field(default_factory=list)
    bcc: Recipients = Field(default_factory=list)
    reply_to: ReplyTo | None = None
    subject: Subject | None = None
    text: Content | None = None
    html: Content | None = None
    raw: Content | None = None
    attachments: Annotated[list[Attachment], Field(max_length=MAX_ATTACHMENTS)] = Field(
        default_factory=list
    )
    headers: Annotated[dict[HeaderName, HeaderText], Field(max_length=MAX_HEADERS)] = Field(
        default_factory=dict
    )
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)
    substitutions: Substitutions = Field(default_factory=dict)
    individual: bool = Field(default=False, description="Each recipient's copy names that recipient"
                             " alone: `to` and `cc` are not shown to the others")  # fmt: skip
    stream: StreamName | None = Field(None, description="The key's own unless given")
    track_opens: bool | None = Field(None, description="The server's setting unless given")
    track_clicks: bool | None = Field(None, description="The server's setting unless given")
    send_at: Moment | AwareDatetime | None = Field(
        None, description=f"When to send it, up to {_DAYS} days ahead; a time that is over is now"
    )
    test: bool = Field(default=False, description="Accept it, simulate its delivery, send nothing")

    @model_validator(mode="after")
    def _is_whole(self) -> Any:
        if not (self.to or self.cc or self.bcc):
            raise ValueError("name a recipient in to, cc or bcc")
        written = self.subject, self.text, self.html, self.attachments or None, self.headers or None
        if self.raw is not None:
            if any(each is not None for each in (*written, self.reply_to)):
                raise ValueError("a raw message has its own content and header")
            if self.individual:
                raise ValueError("a raw message names its own recipients")
            return self
        if self.from_ is None:
            raise ValueError("name the author in from")
        if self.text is None and self.html is None:
            raise ValueError("give a text, an html or a raw message")
        return self


class SentMessage(View):
    """One message for one recipient, as it was taken."""

    id: int = Field(description="Below 2^53, so every JSON reader keeps it exactly")
    recipient: str
    state: State = Field(description="queued, scheduled, or suppressed: not sent")
    token: str


class Sent(View):
    """What was accepted: one message for each recipient."""

    message_id: str | None
    stream: str
    send_at: float | None
    messages: list[SentMessage]


class UploadCreate(Body):
    """How many octets the file has that will be put there: exactly."""

    size: int = Field(ge=1, le=MAX_UPLOAD)


class Upload(View):
    """Where to PUT a file, within an hour and without a key, and what to call it afterwards.

    It can be attached for three days, to as many messages as one likes.
    """

    upload: str
    url: str
    method: str = "PUT"
    expires_at: float
