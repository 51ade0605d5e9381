"""Streams of a server."""

from mail_api.v2.crud import Crud, Fields
from mail_api.v2.models.streams import Stream, StreamCreate, StreamUpdate
from mail_api.v2.operation import ApiError, Call
from mail_api.v2.resources.pools import require_pool
from mailroom.domain.message import ServerId
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.domain.tenancy.record import Change
from mailroom.domain.tenancy.resource import Resource
from mailroom.usecases.holdings import former_stream


def _made(call: Call, fields: Fields) -> Fields:
    require_pool(call, fields.get("pool"))
    return fields


def _merged(call: Call, _: Resource, fields: Fields) -> Fields:
    require_pool(call, fields.get("pool"))
    return fields


def _name(_: Call, fields: Fields) -> str:
    return str(fields["name"])


def _leave_a_trace(call: Call, stream: Resource) -> None:
    """Remember that there was this stream: who is suppressed in it stays so, and is found."""
    if stream.id in BUILT_IN:
        raise ApiError(409, "built_in", "Every server has this stream")
    trace = former_stream(ServerId(call.target.server), stream.id)
    call.desk.registry.write([Change.put(trace)])


STREAMS = Crud(
    kind=STREAM,
    tag="streams",
    path="/servers/{server}/streams",
    parameter="stream",
    view=Stream,
    create=StreamCreate,
    update=StreamUpdate,
    read_scope=Scope.SERVERS_READ,
    write_scope=Scope.SERVERS_WRITE,
    noun="stream",
    made=_made,
    merged=_merged,
    chosen_id=_name,
    before_delete=_leave_a_trace,
)

OPERATIONS = STREAMS.operations
