"""Tell the sender of a message what became of it, where the submitter asked for that (RFC 3461).

The report is queued beside the webhook calls and tried again like one of them (`notify.py`). It
goes to the envelope sender only if that is at a domain of the server: whoever may send for us must
not have us write to strangers.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid5

from mailroom.domain.address import Address, MalformedAddressError, parse_address
from mailroom.domain.dsn import MAX_RETURNED, Action, Fate, Original, Reporter, report_mail
from mailroom.domain.dsn_request import RecipientRequest, load
from mailroom.domain.event import Event, EventType
from mailroom.domain.header_encoding import UnfitHeaderError
from mailroom.domain.message import Delivery, Submission, drawn_at
from mailroom.domain.reply import SmtpReply
from mailroom.domain.server_fact import Fact
from mailroom.ports import Clock, Directory, Ledger, Notification
from mailroom.usecases.fan_out import MessageUnseenError

MAIL_SCHEME = "mailto:"
REPORTS = "dsn"  # what stands for the webhook of a report
_EVENT = "DeliveryReport"
_NAMESPACE = UUID("0c8f9f0e-6d1a-4b57-9a55-51b0a2f6f2de")  # of the uuids of reports
_SETTLING_SECONDS = 3600.0

# What is told, and what must have been asked for it. Of doubt nothing is told: a report that mail
# failed which may have arrived would have it sent twice.
_TOLD: Mapping[EventType, tuple[Action, str]] = {
    EventType.BOUNCED: (Action.FAILED, "FAILURE"),
    EventType.EXPIRED: (Action.FAILED, "FAILURE"),
    EventType.SUPPRESSED: (Action.FAILED, "FAILURE"),
    EventType.DELAYED: (Action.DELAYED, "DELAY"),
}


def inline_header(submission: Submission) -> bytes:
    """Return the header of a small message, which lies in its row; b"" for one that does not."""
    if submission.body.inline is None:
        return b""
    try:
        raw = zlib.decompressobj().decompress(submission.body.inline, 2 * MAX_RETURNED)
    except zlib.error:
        return b""
    header, blank, _ = raw.partition(b"\r\n\r\n")
    return header + b"\r\n" if blank else b""


@dataclass(frozen=True, slots=True)
class ReportPorts:
    """The world of `report_of`; `header_of` returns the header of a message, b"" to return none."""

    directory: Directory
    ledger: Ledger
    clock: Clock
    reporter: Reporter
    header_of: Callable[[Submission], bytes] = inline_header


def report_of(fact: Fact, ports: ReportPorts) -> Notification | None:
    """Return the report to queue for a fact; None if nobody is to have one.

    The same fact gives the same report each time. Raises MessageUnseenError for a young event
    whose message cannot be read yet.
    """
    told = _TOLD.get(fact.type) if isinstance(fact, Event) else None
    if told is None or not isinstance(fact, Event) or fact.attempt is None:
        return None
    submission = ports.ledger.submission(fact.key.server, fact.key.number)
    if submission is None:
        if fact.at - drawn_at(fact.key.number) < _SETTLING_SECONDS:
            raise MessageUnseenError(str(fact.key))
        return None
    request, to = _request(submission, fact.key.index), _sender(submission, ports.directory)
    delivery = ports.ledger.delivery(fact.key) if to and told[1] in request.notify else None
    if delivery is None or to is None:
        return None
    fate = _fate(fact, told[0], delivery, request)
    original = Original(
        id=str(fact.key),
        accepted_at=submission.accepted_at,
        subject=submission.subject,
        envelope_id=load(submission.dsn).envelope_id,
        header=ports.header_of(submission) if told[0] is Action.FAILED else b"",
    )
    try:
        mail = report_mail(fate, original, to, ports.reporter)
    except UnfitHeaderError:
        return None  # nothing else may wait for a report that cannot be written
    return Notification(
        uuid=str(uuid5(_NAMESPACE, fact.id)),
        server=fact.key.server,
        webhook=REPORTS,
        url=f"{MAIL_SCHEME}{to}",
        event=_EVENT,
        body=mail.decode("ascii"),
        attempt=0,
        first_at=ports.clock.now(),
        sign=False,
    )


def _request(submission: Submission, index: int) -> RecipientRequest:
    try:
        return load(submission.dsn).of(index)
    except ValueError:
        return RecipientRequest()


def _sender(submission: Submission, directory: Directory) -> Address | None:
    """Return who hears of it: nobody if it was a bounce itself, or is not at a domain of ours."""
    if submission.bounce or submission.test or not submission.mail_from.isascii():
        return None
    try:
        sender = parse_address(submission.mail_from)
    except MalformedAddressError:
        return None
    server = directory.server(submission.server)
    if server is None or server.suspended:
        return None
    return sender if directory.sending_domain(server, sender.domain) else None


def _fate(event: Event, action: Action, delivery: Delivery, request: RecipientRequest) -> Fate:
    seen = event.attempt
    if seen is None:
        raise ValueError("only attempts are reported")
    text = seen.reply.removeprefix(f"{seen.code} ") if seen.code else seen.reply
    return Fate(
        action=action,
        recipient=delivery.recipient,
        reply=SmtpReply(seen.code, text or seen.details, seen.phase),
        at=event.at,
        mx=seen.mx,
        requested=request.original,
        expired=event.type is EventType.EXPIRED,
        retry_until=delivery.expires_at if action is Action.DELAYED else None,
    )
