"""What all calls about messages have in common: the one that is meant, and refusals."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mail_api.v2.operation import ApiError, Call
from mailroom.domain.message import ServerId
from mailroom.errors import (
    InvalidRequestError,
    MailroomError,
    MessageNotFoundError,
    NotHeldError,
    StateConflictError,
)
from mailroom.usecases.find_messages import BadCursorError
from mailroom.usecases.jobs import TooManyJobsError
from mailroom.usecases.message_detail import (
    AttachmentNotFoundError,
    DetailPorts,
    MessageBodyGoneError,
    MessageDetail,
    message_detail,
)
from mailroom.usecases.release import HoldPorts

_MAX_DIGITS = 16  # of an id below 2^53

# The first class that fits decides.
_REFUSALS: Mapping[type[MailroomError], tuple[int, str]] = {
    AttachmentNotFoundError: (404, "attachment_not_found"),
    MessageNotFoundError: (404, "not_found"),
    MessageBodyGoneError: (404, "body_gone"),
    NotHeldError: (409, "not_held"),
    StateConflictError: (409, "state_conflict"),
    TooManyJobsError: (409, "too_many_jobs"),
    BadCursorError: (422, "bad_cursor"),
    InvalidRequestError: (422, "invalid"),
}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the use cases refuse into answers of the API. Raises ApiError."""
    try:
        yield
    except tuple(_REFUSALS) as error:
        found = next(each for kind, each in _REFUSALS.items() if isinstance(error, kind))
        raise ApiError(*found, str(error)) from error


def server_of(call: Call) -> ServerId:
    """Return the server a call is about."""
    return ServerId(call.target.server)


def id_of(call: Call) -> int:
    """Return the message id of the path; 0, which no message has, for what is none."""
    text = call.path["message"]
    fits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if fits else 0


def detail_of(call: Call, *, with_events: bool = False) -> MessageDetail:
    """Return the message of the path. Raises ApiError 404."""
    ports = call.desk.api().ports
    detail_ports = DetailPorts(ports.ledger, ports.bodies)
    with refusals():
        return message_detail(server_of(call), id_of(call), detail_ports, with_events=with_events)


def hold_ports(call: Call) -> HoldPorts:
    """Return what moves messages that wait."""
    api = call.desk.api()
    if api.work is None:
        raise RuntimeError("this process was given nothing to move messages with")
    return HoldPorts(
        ledger=api.ports.ledger,
        work=api.work,
        lane=api.ports.lane,
        clock=api.ports.clock,
        delay_divisor=api.ports.delay_divisor,
    )


def by(call: Call) -> str:
    """Return who asked, as histories tell it."""
    who = call.principal
    return f"{who.kind} key {who.name!r}" if who.kind != "user" else f"{who.name}"
