"""Records of deliveries in the CSV layout of PowerMTA's accounting files.

For programs that read those: field names, record types and the form of times are theirs (PowerMTA
5.0 guide, reference mta.md 1.6). What is not known here is left empty, as they do.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.message import Delivery, Submission
from mailroom.domain.reply import Phase

FIELDS = (
    "type", "timeLogged", "timeQueued", "orig", "rcpt", "orcpt", "dsnAction", "dsnStatus",
    "dsnDiag", "dsnMta", "bounceCat", "srcType", "srcMta", "dlvType", "dlvSourceIp",
    "dlvDestinationIp", "dlvEsmtpAvailable", "dlvSize", "vmta", "jobId", "envId", "queue",
    "vmtaPool",
)  # fmt: skip


class RecordType(StrEnum):
    """The types of records that we have something for."""

    DELIVERED = "d"
    BOUNCED = "b"
    TRANSIENT = "t"  # of a recipient
    TRANSIENT_QUEUE = "tq"  # of the connection, before any recipient was named
    RECEIVED = "r"
    FEEDBACK = "f"  # a complaint


USUAL = (RecordType.DELIVERED, RecordType.BOUNCED)
_TYPES = {
    EventType.SENT: RecordType.DELIVERED,
    EventType.BOUNCED: RecordType.BOUNCED,
    EventType.EXPIRED: RecordType.BOUNCED,
    EventType.ACCEPTED: RecordType.RECEIVED,
    EventType.COMPLAINED: RecordType.FEEDBACK,
}
_BEFORE_MAIL = frozenset(
    {Phase.DNS, Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS, Phase.AUTH}
)
_ACTIONS = {
    RecordType.DELIVERED: "relayed",
    RecordType.BOUNCED: "failed",
    RecordType.TRANSIENT: "delayed",
    RecordType.TRANSIENT_QUEUE: "delayed",
}
_CLASSES = {RecordType.DELIVERED: "2.0.0", RecordType.BOUNCED: "5.0.0"}
_ENHANCED = re.compile(r"\b([245]\.\d{1,3}\.\d{1,3})\b")
_HOST = re.compile(r"(\S+)(?:\s+\[([0-9a-fA-F.:]+)\])?")
_LONGEST_DIAGNOSIS = 1_000


@dataclass(frozen=True, slots=True)
class SourceName:
    """What an address id stands for: its IP address and the name of its pool."""

    ip: str = ""
    pool: str = ""


def record_type(event: Event) -> RecordType | None:
    """Return the type under which a fact is recorded, or None for one that is not."""
    facts = event.attempt or AttemptFacts(0, "")
    match event.type:
        case EventType.DEFERRED | EventType.DELAYED:
            early = facts.phase in _BEFORE_MAIL
            return RecordType.TRANSIENT_QUEUE if early else RecordType.TRANSIENT
        case EventType.UNCERTAIN:
            return RecordType.BOUNCED if facts.final else RecordType.TRANSIENT
    return _TYPES.get(event.type)


def record(
    type_: RecordType, event: Event, submission: Submission, delivery: Delivery, source: SourceName
) -> Sequence[str]:
    """Return the values of one record, in the order of FIELDS."""
    facts = event.attempt or AttemptFacts(0, "")
    host, ip = _host(facts.mx)
    domain = delivery.recipient.rpartition("@")[2]
    is_known = type_ in _ACTIONS
    values = {
        "type": str(type_),
        "timeLogged": _time(event.at),
        "timeQueued": _time(delivery.accepted_at),
        "orig": submission.mail_from,
        "rcpt": delivery.recipient,
        "dsnAction": _ACTIONS.get(type_, ""),
        "dsnStatus": _status(type_, event, facts) if is_known else "",
        "dsnDiag": _diagnosis(facts) if is_known else "",
        "dsnMta": f"{host} ({ip})" if ip else host,
        "bounceCat": _category(event, facts) if type_ is not RecordType.DELIVERED else "",
        "srcType": "smtp" if submission.source == "smtp" else "api",
        "dlvType": "smtp" if is_known else "",
        "dlvSourceIp": source.ip,
        "dlvDestinationIp": ip,
        "dlvSize": str(submission.size) if type_ is RecordType.DELIVERED else "",
        "vmta": facts.address,
        "jobId": submission.tag or "",
        "envId": str(delivery.key),
        "queue": f"{domain}/{facts.address}" if facts.address else domain,
        "vmtaPool": source.pool,
    }
    return [_one_line(values.get(name, "")) for name in FIELDS]


def csv_text(rows: Iterable[Sequence[str]], *, header: bool) -> str:
    """Return records as CSV, with the line of names in front if `header`."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    if header:
        writer.writerow(FIELDS)
    writer.writerows(rows)
    return target.getvalue()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S+0000")


def _status(type_: RecordType, event: Event, facts: AttemptFacts) -> str:
    if event.type is EventType.EXPIRED:
        return "4.4.7"  # RFC 3463: the delivery time has expired
    found = _ENHANCED.search(facts.reply)
    return found[1] if found else _CLASSES.get(type_, "4.0.0")


def _diagnosis(facts: AttemptFacts) -> str:
    said = facts.reply or facts.details
    kind = "smtp" if facts.code else "x-mailroom"
    return f"{kind};{said[:_LONGEST_DIAGNOSIS]}" if said else ""


def _category(event: Event, facts: AttemptFacts) -> str:
    if event.type is EventType.EXPIRED and not facts.category:
        return "message-expired"
    return facts.category


def _host(mx: str) -> tuple[str, str]:
    found = _HOST.match(mx)
    return (found[1], found[2] or "") if found else ("", "")


def _one_line(text: str) -> str:
    return " ".join(text.split()) if not text.isprintable() else text
