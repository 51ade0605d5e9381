"""Schemas of messages: how they are looked for, what is told of them, what is done to them."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from mail_api.v2.models.base import Body, Listing, Moment, Page, View, one_line
from mailroom.domain.lifecycle import State
from mailroom.domain.message_filter import MAX_TEXT
from mailroom.usecases.bulk import BulkAction
from mailroom.usecases.find_messages import MAX_LOOKED

_STATES = "|".join(State)
_LOOKS = f"Looked for in the newest messages one by one, {MAX_LOOKED:,} at most"


def _named_once(states: str) -> str:
    # Each at most once: the text is short then, whoever sends it.
    return ",".join(dict.fromkeys(states.split(","))) if states else ""


States = Annotated[
    str,
    StringConstraints(max_length=200, pattern=rf"^(?:(?:{_STATES})(?:,(?:{_STATES}))*)?$"),
    AfterValidator(_named_once),
]


Line = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(one_line)]
Address = Annotated[str, StringConstraints(max_length=320), AfterValidator(one_line)]
MessageId = Annotated[str, StringConstraints(max_length=998), AfterValidator(one_line)]
Label = Annotated[str, StringConstraints(max_length=100), AfterValidator(one_line)]


class Exact(BaseModel):
    """What an index answers."""

    recipient: Address = Field(default="", description="An address, exactly, in any case")
    message_id: MessageId = Field(default="", description="A Message-ID, brackets or not")
    tag: Label = Field(default="", description="A tag, exactly")
    from_time: Moment | None = Field(
        default=None,
        description="Accepted then or later. Without it, and with neither recipient nor"
        " message_id, the last 62 days",
    )
    to_time: Moment | None = Field(default=None, description="Accepted before then")


class Words(BaseModel):
    """What messages are looked at for, one by one."""

    sender: Line = Field(default="", description=f"Words of its sender. {_LOOKS}")
    subject: Line = Field(default="", description=f"Words of its subject. {_LOOKS}")
    text: Line = Field(
        default="", description=f"Words of anything a list of messages tells. {_LOOKS}"
    )
    stream: Label = Field(default="", description=f"A stream, exactly. {_LOOKS}")


class WaitingListing(Listing, Exact, Words):
    """How a list of messages that wait is asked for."""


class MessageListing(WaitingListing):
    """How a list of messages is asked for."""

    status: States = Field(default="", description=f"States, separated by commas. {_LOOKS}")


class BulkFilter(Exact, Words, Body):
    """Which messages an action is for: those that are all of this."""

    status: States = Field(default="", description="States, separated by commas")


class Bulk(Body):
    """An action on all messages that a filter finds."""

    action: BulkAction = Field(description="Without a status, retry is for deferred messages"
                               " alone: what has ended is sent again only by name")  # fmt: skip
    filter: BulkFilter = BulkFilter()
    dry_run: bool = Field(default=False, description="Only count them")


class Reschedule(Body):
    """Another time for a scheduled message."""

    send_at: Moment


class Attempt(View):
    """What an attempt showed, or why a person or a rule moved the message."""

    attempt: int
    details: str
    reply: str = ""
    code: int = 0
    phase: str = ""
    mx: str = ""
    tls: bool = False
    seconds: float = 0.0
    bounce: str | None = Field(default=None, description="hard, soft or block")
    final: bool = False
    category: str = Field(default="", description="Why it was refused, as the reply rules say")
    rule: str = Field(default="", description="The reply rule that said so")
    scope: str = Field(default="", description="Whom the reply was about")
    address: str = Field(default="", description="Id of the source address")
    site: str = Field(default="", description="The receiving site: its hosts, as one name")
    tls_version: str = ""
    tls_cipher: str = ""


class Sight(View):
    """What an open or a click showed; a server in privacy mode keeps no address."""

    url: str = ""
    ip_address: str = ""
    network: str = ""
    user_agent: str = ""
    verdict: str = Field(default="", description="Who looked: person, or which kind of machine")
    is_person: bool = True


class MessageEvent(View):
    """One fact of a message's history."""

    type: str
    at: float
    attempt: Attempt | None = None
    view: Sight | None = None


class Message(View):
    """One message for one recipient. Times are Unix seconds."""

    id: int = Field(description="Below 2^53, so every JSON reader keeps it exactly")
    state: State
    recipient: str
    sender: str = Field(description="The address of its From field")
    mail_from: str = Field(description="The envelope sender it was submitted with")
    subject: str
    message_id: str | None
    tag: str | None
    tags: list[str]
    stream: str
    size: int = Field(description="Octets")
    source: str
    bounce: bool
    attempts: int
    accepted_at: float
    expires_at: float
    due_at: float | None = Field(description="When it is tried, sent or, if held, given up")
    last_event: MessageEvent | None = None


class MessageDetail(Message):
    """A message with its history, oldest first; `/events` has what does not fit here."""

    token: str
    metadata: dict[str, str]
    send_at: float | None
    uncertain: int = Field(description="How often the receiver's last reply was lost")
    released: bool = Field(description="Whether a person released it")
    opens: int = Field(description="Among the events shown; machines included")
    clicks: int
    events: list[MessageEvent]
    has_more_events: bool


class MessagePage(Page[Message]):
    """Messages, newest first, and how far it was looked for them.

    All messages accepted since `looked_back_to` were looked at, and `looked_at` is how many that
    were. If `is_complete` is false and there is no cursor, ask again with `to_time` as
    `looked_back_to` to find earlier ones.
    """

    looked_at: int
    looked_back_to: float
    is_complete: bool


class EventPage(Page[MessageEvent]):
    """Facts of a message's history, oldest first."""


class HeaderField(View):
    """One header field: its name in lower case, its text decoded."""

    name: str
    value: str


class Headers(View):
    """All header fields in their order."""

    data: list[HeaderField]


class Attachment(View):
    """A file of a message; `number` is its place in the path of `/attachments`."""

    number: int
    name: str
    content_type: str
    size: int
    sha256: str


class Bodies(View):
    """What a reader sees of a message: its first text, its first HTML and its files."""

    text: str | None
    html: str | None
    attachments: list[Attachment]


class Moved(View):
    """How a message stands after something was done to it."""

    id: int
    state: State
    attempts: int
    due_at: float | None
    expires_at: float


class BulkStarted(View):
    """What a bulk call counted, or the job it started."""

    dry_run: bool
    job: str | None = None
    matching: int | None = None
    looked_at: int | None = None
    looked_back_to: float | None = None
    is_complete: bool | None = None


def states_of(text: str) -> frozenset[State]:
    """Return the states that a status names."""
    return frozenset(map(State, text.split(","))) if text else frozenset()
