"""One message with all that is known of it, and what is made of its body."""

from collections.abc import Sequence
from dataclasses import dataclass

from mailroom.domain.event import Event
from mailroom.domain.headers import fields, split
from mailroom.domain.message import Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.message_parts import File, MessageParts, read_parts
from mailroom.errors import BodyGoneError, MailroomError, MessageNotFoundError
from mailroom.ports import Bodies, Ledger
from mailroom.usecases.raw_message import raw_message


class MessageBodyGoneError(MailroomError):
    """The message is known, its content is not stored any more."""

    code = "message_body_gone"


class AttachmentNotFoundError(MessageNotFoundError):
    """The message has no attachment with that number."""

    code = "attachment_not_found"


@dataclass(frozen=True, slots=True)
class DetailPorts:
    """The world of the calls about one message."""

    ledger: Ledger
    bodies: Bodies


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """A message and how it stands. `events` is its history, oldest first."""

    submission: Submission
    delivery: Delivery
    events: Sequence[Event] = ()

    @property
    def key(self) -> DeliveryKey:
        """The message's key."""
        return self.delivery.key


def message_key(server: ServerId, id_: int, ledger: Ledger) -> tuple[DeliveryKey, Submission]:
    """Return the key of a committed message of `server` by its integer id, and its submission.

    Raises MessageNotFoundError, for another server's messages too.
    """
    try:
        key = DeliveryKey.from_postal_id(server, id_)
    except ValueError:
        raise _missing() from None
    submission = ledger.submission(key.server, key.number)
    if submission is None or key.index >= submission.recipients:
        raise _missing()
    return key, submission


def message_detail(
    server: ServerId, id_: int, ports: DetailPorts, *, with_events: bool = True
) -> MessageDetail:
    """Return a message of `server` by its integer id. Raises MessageNotFoundError."""
    key, submission = message_key(server, id_, ports.ledger)
    delivery = ports.ledger.delivery(key)
    if delivery is None:
        raise _missing()
    events = ports.ledger.history(key) if with_events else ()
    return MessageDetail(submission, delivery, events)


def message_raw(submission: Submission, bodies: Bodies, now: float | None = None) -> bytes:
    """Return a message as it was accepted. Raises MessageBodyGoneError, after its retention too
    if `now` (Unix seconds) is given."""
    try:
        return raw_message(submission, bodies, now)
    except BodyGoneError as error:
        raise MessageBodyGoneError("the content of the message is not stored any more") from error


def message_headers(raw: bytes) -> Sequence[tuple[str, str]]:
    """Return the header fields in order: lower-case name, decoded value."""
    return [(field.name, field.text) for field in fields(split(raw)[0])]


def message_parts(raw: bytes) -> MessageParts:
    """Return the texts and the attachments."""
    return read_parts(raw)


def attachment(raw: bytes, number: int) -> File:
    """Return attachment `number`, counted from 1. Raises AttachmentNotFoundError."""
    files = read_parts(raw).files
    if not 0 < number <= len(files):
        raise AttachmentNotFoundError(f"the message has {len(files)} attachments")
    return files[number - 1]


def _missing() -> MessageNotFoundError:
    return MessageNotFoundError("There is no message with that id")
