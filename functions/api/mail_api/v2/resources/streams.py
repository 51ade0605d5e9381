"""Streams of a server."""

from mail_api.v2.crud import Crud, Fields
from mail_api.v2.models.streams import Stream, StreamCreate, StreamUpdate
from mail_api.v2.operation import ApiError, Call
from mail_api.v2.resources.pools import require_pool
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.domain.tenancy.resource import Resource


def _made(call: Call, fields: Fields) -> Fields:
    require_pool(call, fields.get("pool"))
    return fields


def _merged(call: Call, _: Resource, fields: Fields) -> Fields:
    require_pool(call, fields.get("pool"))
    return fields


def _name(_: Call, fields: Fields) -> str:
    return str(fields["name"])


def _keep_built_in(_: Call, stream: Resource) -> None:
    if stream.id in BUILT_IN:
        raise ApiError(409, "built_in", "Every server has this stream")


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
    before_delete=_keep_built_in,
)

OPERATIONS = STREAMS.operations
