"""Submissions and deliveries as rows of the mail table, and read back from them.

Readers accept rows written before an attribute existed; what has its default is not written.
"""

import json
from collections.abc import Mapping
from typing import Any

from mailroom.adapters.index_keys import index_submission
from mailroom.adapters.names import SUBMISSION, delivery_sk, mail_pk, read_delivery_key, shard_of
from mailroom.adapters.tables import DeliveryRow, SubmissionRow
from mailroom.domain.lifecycle import State
from mailroom.domain.message import (
    METADATA_DAYS,
    TRANSACTIONAL,
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
)
from mailroom.domain.search_keys import recipient_key

DAY_SECONDS = 86_400
_MS = 1000


def milliseconds(seconds: float) -> int:
    """Return a time as rows keep it."""
    return round(seconds * _MS)


def due_shard(key: DeliveryKey) -> str:
    """Return the bucket of the due index that a delivery waits in."""
    return shard_of(key.server, key.number)


def submission_row(model: type[SubmissionRow], submission: Submission) -> SubmissionRow:
    """Return the row of a submission, its index keys included."""
    row = model(mail_pk(submission.server, submission.number), SUBMISSION)
    index_submission(row, submission)
    row.at, row.exp = milliseconds(submission.accepted_at), milliseconds(submission.expires_at)
    row.mail_from, row.author = submission.mail_from, submission.from_address
    row.domain, row.subject = submission.sign_domain, submission.subject
    row.mid, row.tag = submission.message_id, submission.tag
    row.size, row.rcpts = submission.size, submission.recipients
    row.source, row.bounce = submission.source, submission.bounce
    row.ssl, row.cred = submission.received_with_ssl, submission.credential
    row.inline, row.body = submission.body.inline, submission.body.key
    row.hold, row.utf8 = submission.hold or None, submission.utf8 or None
    row.dsn, row.test = submission.dsn or None, submission.test or None
    row.indiv = submission.individual or None
    row.stream = submission.stream if submission.stream != TRANSACTIONAL else None
    row.tags = dump_texts(submission.tags)
    row.meta = dump_texts(submission.metadata)
    row.t_open, row.t_click = submission.track_opens, submission.track_clicks
    row.send_at, row.raw_until = _moment(submission.send_at), _moment(submission.raw_until)
    row.days = submission.retention_days if submission.retention_days != METADATA_DAYS else None
    row.ttl = int(submission.expires_at) + submission.retention_days * DAY_SECONDS
    return row


def delivery_row(model: type[DeliveryRow], delivery: Delivery, days: int) -> DeliveryRow:
    """Return the row of a delivery that nobody has claimed yet, kept `days` after its expiry."""
    row = model(mail_pk(delivery.key.server, delivery.key.number), delivery_sk(delivery.key.index))
    row.state, row.rcpt = str(delivery.state), delivery.recipient
    row.rcpt_key = recipient_key(delivery.key.server, delivery.recipient)
    row.at, row.exp = milliseconds(delivery.accepted_at), milliseconds(delivery.expires_at)
    row.merge = dump_texts(delivery.merge)
    row.bulk = delivery.bulk or None
    if delivery.due_at is not None:
        row.due_at, row.due_shard = milliseconds(delivery.due_at), due_shard(delivery.key)
    row.ttl = int(delivery.expires_at) + days * DAY_SECONDS
    return row


def read_submission(row: SubmissionRow) -> Submission:
    """Turn a row into the value."""
    server, number = row.pk.split("#")
    return Submission(
        server=ServerId(server),
        number=int(number),
        accepted_at=row.at / _MS,
        expires_at=row.exp / _MS,
        mail_from=row.mail_from,
        from_address=row.author,
        sign_domain=row.domain,
        subject=row.subject,
        message_id=row.mid,
        tag=row.tag,
        size=int(row.size),
        recipients=int(row.rcpts),
        source=row.source,
        bounce=row.bounce,
        body=BodyRef(inline=row.inline, key=row.body),
        credential=row.cred,
        received_with_ssl=row.ssl,
        hold=bool(row.hold),
        utf8=bool(row.utf8),
        dsn=row.dsn or "",
        stream=row.stream or TRANSACTIONAL,
        tags=load_tags(row.tags),
        metadata=load_mapping(row.meta),
        track_opens=row.t_open,
        track_clicks=row.t_click,
        send_at=_seconds(row.send_at),
        retention_days=int(row.days or METADATA_DAYS),
        raw_until=_seconds(row.raw_until),
        test=bool(row.test),
        individual=bool(row.indiv),
    )


def read_delivery(row: DeliveryRow) -> Delivery:
    """Turn a row into the value."""
    return Delivery(
        key=read_delivery_key(row.pk, row.sk),
        recipient=row.rcpt,
        state=State(row.state),
        accepted_at=row.at / _MS,
        expires_at=row.exp / _MS,
        attempts=int(row.att),
        uncertain=int(row.unc),
        generation=int(row.gen),
        claim=row.claim,
        claim_until=_seconds(row.until),
        due_at=_seconds(row.due_at),
        manual=bool(row.manual),
        merge=load_mapping(row.merge),
        bulk=bool(row.bulk),
        sticky=row.stick or "",
        stalls=int(row.stall or 0),
        late=bool(row.late),
    )


def dump_texts(texts: Mapping[str, str] | tuple[str, ...]) -> str | None:
    """Write texts as JSON; None for none of them."""
    whole = list(texts) if isinstance(texts, tuple) else dict(texts)
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False) if whole else None


def load_mapping(stored: str | None) -> Mapping[str, str]:
    """Read a mapping that `dump_texts` wrote."""
    found: dict[str, str] = json.loads(stored) if stored else {}
    return found


def load_tags(stored: str | None) -> tuple[str, ...]:
    """Read tags that `dump_texts` wrote; rows of before there were several have `tag` alone."""
    return tuple(json.loads(stored)) if stored else ()


def _moment(seconds: float | None) -> int | None:
    return None if seconds is None else milliseconds(seconds)


def _seconds(stored: Any) -> float | None:
    return None if stored is None else int(stored) / _MS
