"""Schemas of operators' orders and of dialogues they ask for."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mail_api.v2.models.base import Body, Reason, View, one_line
from mailroom.domain.sending.order import MAX_SECONDS, OrderVerb
from mailroom.domain.sending.trace import TraceDepth

Part = Annotated[str, StringConstraints(max_length=320), AfterValidator(one_line)]


class OrderSelector(Body):
    """What an order is about: all that fits every part that is given."""

    tenant: Part = Field(default="", description="Id of a server")
    organisation: Part = Field(default="", description="Id of an organisation")
    campaign: Part = Field(default="", description="Tag of the messages")
    lane: Literal["", "transactional", "bulk"] = Field(
        default="", description="Class of their stream"
    )
    pool: Part = Field(default="", description="Id of the pool they go out through")
    address: Part = Field(default="", description="Id of a source address")
    provider: Part = Field(default="", description="Provider that receives them")
    site: Part = Field(default="", description="Key of a site")
    domain: Part = Field(default="", description="Domain of the recipient")
    recipient: Part = Field(default="", description="Address of the recipient")
    delivery: Part = Field(default="", description="One delivery: SERVER.NUMBER.INDEX")
    older_than: float | None = Field(
        default=None, ge=0, le=MAX_SECONDS, description="Seconds since the acceptance"
    )


class OrderOptions(Body):
    """What some verbs need besides."""

    pool: Part = Field(default="", description="reroute: the pool that sends it instead")
    rate: Annotated[str, StringConstraints(max_length=40)] = Field(
        default="",
        description="throttle: such as 100/min; all that is selected shares it on each host",
    )
    priority: int = Field(default=0, ge=-10, le=10, description="priority: from -10 to 10")
    process: Part = Field(default="", description="drain-host: id of the host's process")
    quiet: bool = Field(default=False, description="bounce: without a message to the sender")


class OrderCreate(Body):
    """A new order. It also counts for mail that arrives while it is in force."""

    verb: OrderVerb = Field(strict=False)
    reason: Reason
    selector: OrderSelector = OrderSelector()
    arguments: OrderOptions = OrderOptions()
    seconds: float | None = Field(
        None,
        gt=0,
        le=MAX_SECONDS,
        description="How long it is in force; five minutes for bounce, drop, retry-now and"
        " normal, an hour for others, unless said otherwise",
    )
    confirm: bool = Field(default=False, description="Without a selector: yes, all mail there is")


class OrderView(View):
    """An order. `job` is what `retry-now` or `release` has started for mail that no host has."""

    id: str
    verb: str
    selector: dict[str, Any]
    arguments: dict[str, Any]
    reason: str
    author: str
    created_at: float
    expires_at: float
    job: str | None = None


class TraceCreate(Body):
    """A dialogue to have. A host runs it within seconds; read it until its state is done."""

    domain: Annotated[Part, StringConstraints(min_length=1)] = Field(
        description="Where the mail goes: a recipient's domain"
    )
    depth: TraceDepth = Field(
        TraceDepth.CONNECT,
        strict=False,
        description="resolve: DNS alone; connect: greeting and TLS; recipient: MAIL and RCPT, then"
        " RSET; send: one short message",
    )
    address: Part = Field("", description="Id of the source address; any without it")
    process: Part = Field("", description="Host that has to run it; any without it")
    host: Part = Field("", description="Only this mail exchanger")
    recipient: Part = Field("", description="For recipient and send")
    sender: Part = Field("", description="Return path; the null sender without it")


class TraceLineView(View):
    """One line: `<` is theirs, `>` ours, `*` a remark. `at` is seconds since the beginning."""

    at: float
    who: str
    text: str


class TraceView(View):
    """A dialogue: waiting, running, done or failed. It is kept for an hour."""

    id: str
    state: str
    depth: str
    domain: str
    address: str
    host: str
    recipient: str
    sender: str
    process: str
    author: str
    created_at: float
    finished_at: float | None
    error: str
    lines: list[TraceLineView]
