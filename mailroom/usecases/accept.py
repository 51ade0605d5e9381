"""Accept a message: all recipients or none, and only the commit makes it ours.

Order matters (docs/design.md section 2): watch row, deliveries, body, commit, suppressed ones,
wake-ups. A crash anywhere before the commit leaves garbage that expires, never mail somebody
believes accepted; a crash after it leaves mail that the watch row finds, and whose suppressed
recipients the sender finds.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mailroom.domain.address import Address
from mailroom.domain.authorship import authors, signing_domain
from mailroom.domain.headers import Field, fields, passes_through, problem_with, split
from mailroom.domain.labels import Labels, UnfitLabelError, joined, read_labels
from mailroom.domain.lifecycle import State
from mailroom.domain.merge import UnfitMergeError
from mailroom.domain.merge import checked as checked_merge
from mailroom.domain.message import (
    BROADCAST,
    RAW_DAYS,
    TRANSACTIONAL,
    BodyRef,
    Credential,
    Delivery,
    DeliveryKey,
    Mode,
    OnSuppressed,
    Server,
    Submission,
    WakeUp,
    is_bulk,
    submission_number,
)
from mailroom.domain.retry import BULK_SCHEDULE, TRANSACTIONAL_SCHEDULE
from mailroom.domain.send_limit import LimitAction, times, zone_of
from mailroom.domain.settlement import suppress
from mailroom.domain.suppression import Suppression
from mailroom.errors import (
    HandOverError,
    InvalidRequestError,
    LimitUnavailableError,
    MailLoopError,
    MessageTooLargeError,
    NumberTakenError,
    SendLimitExceededError,
    ServerSuspendedError,
    UnauthenticatedFromAddressError,
)
from mailroom.ports import Bodies, Chance, Clock, Directory, DueWork, Lane, Ledger, SendLimits
from mailroom.ports.suppressions import Suppressions

MAX_ACCEPTED_RECIPIENTS = 150
INLINE_OCTETS = 3 * 1024  # a body that compresses to this rides in the submission item
MAX_PASSES = 4  # Received fields by our host, ours of this time included; Postal's number
WATCH_SECONDS = 120.0  # when somebody looks whether the first hand-over happened
LIFETIME_SECONDS = TRANSACTIONAL_SCHEDULE.lifetime
BULK_LIFETIME_SECONDS = BULK_SCHEDULE.lifetime
MAX_SCHEDULE_SECONDS = 90 * 86_400.0
HAND_OVER_SECONDS = 900.0  # what is due sooner is handed to the queue, which delays that long
_DRAWS = 5


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a door (API, SMTP) hands over. `raw` has CRLF line endings and all its headers.

    `labels` are what the call itself said, `merge` the texts of recipients by their address,
    `send_at` (Unix seconds) when it is to go out; a time that has come is now. An `individual`
    one names nobody in To: each copy gets its own.
    """

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
    labels: Labels = field(default_factory=Labels)
    merge: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    send_at: float | None = None
    test: bool = False
    individual: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """A committed submission. `handed_over` is False when the queue could not be reached;
    the mail is accepted all the same and the watch row brings it to egress. Deliveries to
    suppressed recipients are there, with their state."""

    submission: Submission
    deliveries: tuple[Delivery, ...]
    handed_over: bool


@dataclass(frozen=True, slots=True)
class AcceptPorts:
    """The world `accept` needs, plugged in once per process.

    Without `suppressions` and `work` the sender alone looks who gets no mail; without `limits`
    nothing is accepted for a server that rejects what is over a limit.
    """

    directory: Directory
    ledger: Ledger
    bodies: Bodies
    lane: Lane
    clock: Clock
    chance: Chance
    max_message_size: int
    body_key: Callable[[Server, int, int, int], str]  # server, number, 8 random bits, days
    delay_divisor: float = 1.0
    host_name: str = ""  # ours in Received, to see mail that goes in circles; "" does not look
    work: DueWork | None = None
    suppressions: Suppressions | None = None
    limits: SendLimits | None = None

    def divided(self, seconds: float) -> float:
        """Return `seconds` as this deployment counts them."""
        return seconds / self.delay_divisor


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was decided about a parcel before anything of it is stored. Times are Unix seconds."""

    domain: str
    labels: Labels
    now: float
    send_at: float | None
    expires_at: float
    bulk: bool

    @property
    def starts_at(self) -> float:
        return self.now if self.send_at is None else self.send_at


def lifetime_seconds(*, bulk: bool) -> float:
    """Return how long mail of a class is tried before it is given up."""
    return BULK_LIFETIME_SECONDS if bulk else LIFETIME_SECONDS


def accept(parcel: Parcel, ports: AcceptPorts) -> Accepted:
    """Make `parcel` ours to deliver; when this returns, it is.

    Raises ServerSuspendedError, MessageTooLargeError, InvalidRequestError (no or too many
    recipients, an unfit header, label or time), MailLoopError, UnauthenticatedFromAddressError
    and SendLimitExceededError; nothing is stored then.
    """
    header = _examined(parcel, ports)
    domain = signing_domain(
        header,
        lambda name: ports.directory.sending_domain(parcel.server, name) is not None,
        allow_sender=parcel.server.allow_sender,
    )
    if domain is None:
        raise UnauthenticatedFromAddressError("the From address is not at a verified domain")
    plan = _planned(parcel, header, domain, ports)
    suppressed = _suppressed(parcel, plan.labels.stream, ports)
    _count(parcel, len(parcel.recipients) - len(suppressed), plan.now, ports)
    return _store(parcel, header, plan, suppressed, ports)


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


def _planned(parcel: Parcel, header: Sequence[Field], domain: str, ports: AcceptPorts) -> _Plan:
    now = round(ports.clock.now(), 3)  # rows keep milliseconds
    send_at = None if parcel.send_at is None else round(parcel.send_at, 3)
    if send_at is not None and send_at > now + MAX_SCHEDULE_SECONDS:
        days = int(MAX_SCHEDULE_SECONDS // 86_400)
        raise InvalidRequestError(f"the message is to be sent more than {days} days from now")
    if send_at is not None and send_at <= now:
        send_at = None
    try:
        labels = joined(parcel.labels, read_labels(header), parcel.credential.stream)
        for merge in parcel.merge.values():
            checked_merge(merge)
    except (UnfitLabelError, UnfitMergeError) as error:
        raise InvalidRequestError(str(error)) from error
    starts_at = now if send_at is None else send_at
    bulk = _is_bulk(parcel.server, labels.stream, ports.directory)
    expires_at = starts_at + ports.divided(lifetime_seconds(bulk=bulk))
    return _Plan(domain, labels, now, send_at, expires_at, bulk)


def _is_bulk(server: Server, stream: str, directory: Directory) -> bool:
    """Say whether mail of a stream is bulk. The two that every server has are not looked up."""
    if stream in (TRANSACTIONAL, BROADCAST):
        return is_bulk(stream)
    return is_bulk(directory.stream_class(server.id, stream))


def _suppressed(parcel: Parcel, stream: str, ports: AcceptPorts) -> Mapping[str, Suppression]:
    """Return who is not sent to. Where they are held instead, the sender does that."""
    server = parcel.server
    if ports.suppressions is None or server.suppressed is OnSuppressed.HOLD:
        return {}
    addresses = [str(each) for each in parcel.recipients]
    return ports.suppressions.among(server.organisation, server.id, stream, addresses)


def _count(parcel: Parcel, messages: int, now: float, ports: AcceptPorts) -> None:
    """Count what a server that rejects may send. Those that hold or delay count at the sender."""
    server, limits = parcel.server, parcel.server.send_limits
    leaves = server.mode is Mode.LIVE and not parcel.test and messages > 0
    if not limits.by_period or limits.action is not LimitAction.REJECT or not leaves:
        return
    if ports.limits is None:
        raise LimitUnavailableError("this process has no table of send limits")
    at = times(now, zone_of(server.time_zone))
    reservation = ports.limits.reserve(server.id, limits, at, wanted=messages)
    if not reservation.slice.size:
        raise SendLimitExceededError(
            "the server has reached its send limit", retry_at=reservation.retry_at or now
        )


def _store(
    parcel: Parcel,
    header: Sequence[Field],
    plan: _Plan,
    suppressed: Mapping[str, Suppression],
    ports: AcceptPorts,
) -> Accepted:
    watch_at = plan.now + max(1.0, ports.divided(WATCH_SECONDS))
    number, deliveries = _reserved(parcel, plan, watch_at, ports)
    labels, server = plan.labels, parcel.server
    submission = Submission(
        server=server.id,
        number=number,
        accepted_at=plan.now,
        expires_at=plan.expires_at,
        mail_from=parcel.mail_from,
        from_address=str(authors(header)[0]),
        sign_domain=plan.domain,
        subject=_value(header, "subject")[:200],
        message_id=_value(header, "message-id").strip("<>")[:998] or None,
        tag=next(iter(labels.tags), None),
        size=len(parcel.raw),
        recipients=len(deliveries),
        source=parcel.source,
        bounce=parcel.bounce,
        body=_body(parcel, number, plan, ports),
        credential=parcel.credential.id,
        received_with_ssl=parcel.received_with_ssl,
        hold=parcel.credential.hold,
        utf8=_needs_utf8(parcel),
        dsn=parcel.dsn,
        stream=labels.stream,
        tags=labels.tags,
        metadata=labels.metadata,
        track_opens=labels.track_opens,
        track_clicks=labels.track_clicks,
        send_at=plan.send_at,
        retention_days=server.retention_days,
        raw_until=plan.expires_at + server.retention_raw_days * 86_400,
        test=parcel.test,
        individual=parcel.individual,
    )
    ports.ledger.commit(submission)
    deliveries = tuple(_settled(each, suppressed, plan.now, ports) for each in deliveries)
    waiting = [each for each in deliveries if each.state is not State.SUPPRESSED]
    return Accepted(submission, deliveries, _hand_over(waiting, plan, ports.lane))


def _settled(
    delivery: Delivery, suppressed: Mapping[str, Suppression], now: float, ports: AcceptPorts
) -> Delivery:
    """End a delivery to a suppressed recipient; who cannot now leaves that to the sender."""
    found = suppressed.get(delivery.recipient)
    if found is None or ports.work is None:
        return delivery
    # A history is in the order of its milliseconds, and this comes after the acceptance.
    settlement = suppress(delivery, found.reason, now=now + 0.001)
    try:
        done = ports.work.settle(delivery, settlement.after, settlement.event)
    except Exception:  # noqa: BLE001 - the mail is accepted; an error would have it sent again
        done = False
    return settlement.after if done else delivery


def _reserved(
    parcel: Parcel, plan: _Plan, watch_at: float, ports: AcceptPorts
) -> tuple[int, tuple[Delivery, ...]]:
    for draw in range(_DRAWS):
        # A second has 8,192 numbers for each server. Who meets a taken one tries the next second's,
        # or a server that takes in thousands a second would run out of luck.
        number = submission_number(plan.now + draw, ports.chance.bits(13))
        deliveries = tuple(_deliveries(parcel, number, plan))
        ports.ledger.watch(parcel.server.id, number, watch_at)
        try:
            ports.ledger.reserve(deliveries, days=parcel.server.retention_days)
        except NumberTakenError:
            continue
        return number, deliveries
    raise NumberTakenError(f"{_DRAWS} drawn submission numbers were all in use")


def _deliveries(parcel: Parcel, number: int, plan: _Plan) -> list[Delivery]:
    return [
        Delivery(
            key=DeliveryKey(parcel.server.id, number, index),
            recipient=str(recipient),
            state=State.QUEUED if plan.send_at is None else State.SCHEDULED,
            accepted_at=plan.now,
            expires_at=plan.expires_at,
            due_at=plan.send_at,
            merge=parcel.merge.get(str(recipient), {}),
            bulk=plan.bulk,
        )
        for index, recipient in enumerate(parcel.recipients)
    ]


def _body(parcel: Parcel, number: int, plan: _Plan, ports: AcceptPorts) -> BodyRef:
    # A small body goes with its row, and so does not where it must be gone sooner than usual.
    kept = parcel.server.retention_raw_days
    rides = kept >= min(RAW_DAYS, parcel.server.retention_days)
    packed = b""
    if rides and len(parcel.raw) < INLINE_OCTETS * 12:
        packed = zlib.compress(parcel.raw, 6)
    if packed and len(packed) <= INLINE_OCTETS:
        return BodyRef(inline=packed)
    days = math.ceil((plan.expires_at - plan.now) / 86_400) + kept
    key = ports.body_key(parcel.server, number, ports.chance.bits(8), days)
    ports.bodies.put(key, parcel.raw)
    return BodyRef(key=key)


def _hand_over(deliveries: Sequence[Delivery], plan: _Plan, lane: Lane) -> bool:
    delay = math.ceil(plan.starts_at - plan.now)
    if delay > HAND_OVER_SECONDS or not deliveries:
        return True  # the due index brings it
    try:
        lane.send(map(WakeUp.of, deliveries), delay=delay)
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
