"""Accept a message: all recipients or none, and only the commit makes it ours.

Order matters (docs/design.md section 2): watch row, deliveries, body, commit, wake-ups. A crash
anywhere before the commit leaves garbage that expires, never mail somebody believes accepted; a
crash after it leaves mail that the watch row finds.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailroom.domain.address import Address
from mailroom.domain.authorship import authors, signing_domain
from mailroom.domain.headers import Field, fields, passes_through, problem_with, split
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    BodyRef,
    Credential,
    Delivery,
    DeliveryKey,
    Server,
    Submission,
    WakeUp,
    submission_number,
)
from mailroom.errors import (
    HandOverError,
    InvalidRequestError,
    MailLoopError,
    MessageTooLargeError,
    NumberTakenError,
    ServerSuspendedError,
    UnauthenticatedFromAddressError,
)
from mailroom.ports import Bodies, Chance, Clock, Directory, Lane, Ledger

MAX_ACCEPTED_RECIPIENTS = 150
INLINE_OCTETS = 3 * 1024  # a body that compresses to this rides in the submission item
MAX_PASSES = 4  # Received fields by our host, ours of this time included; Postal's number
WATCH_SECONDS = 120.0  # when somebody looks whether the first hand-over happened
LIFETIME_SECONDS = 48 * 3600.0
_DRAWS = 5


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a door (API, SMTP) hands over. `raw` has CRLF line endings and all its headers."""

    server: Server
    credential: Credential
    source: str
    mail_from: str
    recipients: tuple[Address, ...]
    raw: bytes
    tag: str | None = None
    bounce: bool = False
    received_with_ssl: bool | None = None
    utf8: bool = False  # MAIL said SMTPUTF8
    dsn: str = ""  # as `dsn_request.dump` writes it


@dataclass(frozen=True, slots=True)
class Accepted:
    """A committed submission. `handed_over` is False when the queue could not be reached;
    the mail is accepted all the same and the watch row brings it to egress."""

    submission: Submission
    deliveries: tuple[Delivery, ...]
    handed_over: bool


@dataclass(frozen=True, slots=True)
class AcceptPorts:
    """The world `accept` needs, plugged in once per process."""

    directory: Directory
    ledger: Ledger
    bodies: Bodies
    lane: Lane
    clock: Clock
    chance: Chance
    max_message_size: int
    body_key: Callable[[Server, int, int], str]  # server, number, 8 random bits
    delay_divisor: float = 1.0
    host_name: str = ""  # ours in Received, to see mail that goes in circles; "" does not look


def accept(parcel: Parcel, ports: AcceptPorts) -> Accepted:
    """Make `parcel` ours to deliver; when this returns, it is.

    Raises ServerSuspendedError, MessageTooLargeError, InvalidRequestError (no or too many
    recipients, an unfit header), MailLoopError and UnauthenticatedFromAddressError; nothing is
    stored then.
    """
    header = _examined(parcel, ports)
    domain = signing_domain(
        header,
        lambda name: ports.directory.sending_domain(parcel.server, name) is not None,
        allow_sender=parcel.server.allow_sender,
    )
    if domain is None:
        raise UnauthenticatedFromAddressError("the From address is not at a verified domain")
    return _store(parcel, header, domain, ports)


def _examined(parcel: Parcel, ports: AcceptPorts) -> Sequence[Field]:
    max_size = ports.max_message_size
    if parcel.server.suspended:
        raise ServerSuspendedError("the mail server is suspended")
    if len(parcel.raw) > max_size:
        raise MessageTooLargeError(f"the message is larger than {max_size} octets")
    if not parcel.recipients:
        raise InvalidRequestError("there are no recipients")
    if len(parcel.recipients) > MAX_ACCEPTED_RECIPIENTS:
        raise InvalidRequestError(f"there are more than {MAX_ACCEPTED_RECIPIENTS} recipients")
    problem = problem_with(parcel.raw)
    if problem:
        raise InvalidRequestError(problem)
    header = list(fields(split(parcel.raw)[0]))
    if ports.host_name and passes_through(header, ports.host_name) > MAX_PASSES:
        raise MailLoopError("the message has been here too often")
    return header


def _store(parcel: Parcel, header: Sequence[Field], domain: str, ports: AcceptPorts) -> Accepted:
    now = round(ports.clock.now(), 3)  # rows keep milliseconds
    watch_at = now + max(1.0, WATCH_SECONDS / ports.delay_divisor)
    number, deliveries = _reserved(parcel, now, watch_at, ports)
    submission = Submission(
        server=parcel.server.id,
        number=number,
        accepted_at=now,
        expires_at=now + LIFETIME_SECONDS / ports.delay_divisor,
        mail_from=parcel.mail_from,
        from_address=str(authors(header)[0]),
        sign_domain=domain,
        subject=_value(header, "subject")[:200],
        message_id=_value(header, "message-id").strip("<>")[:998] or None,
        tag=parcel.tag or _value(header, "x-postal-tag")[:100] or None,
        size=len(parcel.raw),
        recipients=len(deliveries),
        source=parcel.source,
        bounce=parcel.bounce,
        body=_body(parcel, number, ports),
        credential=parcel.credential.id,
        received_with_ssl=parcel.received_with_ssl,
        hold=parcel.credential.hold,
        utf8=_needs_utf8(parcel),
        dsn=parcel.dsn,
    )
    ports.ledger.commit(submission)
    return Accepted(submission, deliveries, _hand_over(deliveries, ports.lane))


def _reserved(
    parcel: Parcel, now: float, watch_at: float, ports: AcceptPorts
) -> tuple[int, tuple[Delivery, ...]]:
    for draw in range(_DRAWS):
        # A second has 8,192 numbers for each server. Who meets a taken one tries the next second's,
        # or a server that takes in thousands a second would run out of luck.
        number = submission_number(now + draw, ports.chance.bits(13))
        deliveries = tuple(_deliveries(parcel, number, now, ports.delay_divisor))
        ports.ledger.watch(parcel.server.id, number, watch_at)
        try:
            ports.ledger.reserve(deliveries)
        except NumberTakenError:
            continue
        return number, deliveries
    raise NumberTakenError(f"{_DRAWS} drawn submission numbers were all in use")


def _deliveries(parcel: Parcel, number: int, now: float, divisor: float) -> list[Delivery]:
    return [
        Delivery(
            key=DeliveryKey(parcel.server.id, number, index),
            recipient=str(recipient),
            state=State.QUEUED,
            accepted_at=now,
            expires_at=now + LIFETIME_SECONDS / divisor,
        )
        for index, recipient in enumerate(parcel.recipients)
    ]


def _body(parcel: Parcel, number: int, ports: AcceptPorts) -> BodyRef:
    packed = zlib.compress(parcel.raw, 6) if len(parcel.raw) < INLINE_OCTETS * 12 else b""
    if packed and len(packed) <= INLINE_OCTETS:
        return BodyRef(inline=packed)
    key = ports.body_key(parcel.server, number, ports.chance.bits(8))
    ports.bodies.put(key, parcel.raw)
    return BodyRef(key=key)


def _hand_over(deliveries: Sequence[Delivery], lane: Lane) -> bool:
    try:
        lane.send(WakeUp(d.key, d.generation, d.recipient) for d in deliveries)
    except HandOverError:
        return False
    return True


def _needs_utf8(parcel: Parcel) -> bool:
    """Say whether a receiver must offer SMTPUTF8. Some clients ask for it whatever they send, and
    a plain message must not fail for that."""
    plain = parcel.raw.isascii() and all(str(each).isascii() for each in parcel.recipients)
    return parcel.utf8 and not plain


def _value(header: Sequence[Field], name: str) -> str:
    return next((f.text for f in header if f.name == name), "")
