"""One recipient's copy of a message: own texts, tracking, identifying headers, no more.

Deterministic for a delivery, so that a copy sent again after a lost reply is the same message:
same Message-ID, same Date, same links.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

from mailroom.domain import headers
from mailroom.domain.address import parse_address
from mailroom.domain.header_encoding import mailbox_field
from mailroom.domain.labels import PREFIX
from mailroom.domain.merge import merge_header
from mailroom.domain.message import DeliveryKey, Server, Submission
from mailroom.domain.mime import rewrite_message
from mailroom.domain.tracking_token import TrackingKey, click_tokens, open_token

PLATFORM = "mailroom"
_DROPPED = frozenset({"bcc", "x-postal-msgid"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """The copy, ready to be signed, and what tracking changed in it."""

    raw: bytes
    links: int
    pixels: int
    untracked_long: int


def render(
    raw: bytes,
    *,
    submission: Submission,
    key: DeliveryKey,
    server: Server,
    token: str,
    tracking_key: TrackingKey,
    host: str,
    resent_sender: str = "",
    merge: Mapping[str, str] | None = None,
    recipient: str = "",
) -> Rendered:
    """Return the copy of `raw` (CRLF) for delivery `key`.

    `token` is Postal's 16-character message token; `host` names the right side of a Message-ID
    that the author left out (RFC 6409 section 8.3). `resent_sender` is the return path for the
    Resent-Sender field that Postal adds; empty adds none. `merge` are the recipient's own texts,
    and `recipient` is who a message without To is for, if that may be said.
    """
    link, pixel = _trackers(submission, server, key, tracking_key)
    kept, present = _without_dropped(raw)
    personal = merge_header(kept, merge or {})
    rewritten = rewrite_message(personal, link=link, pixel=pixel, merge=merge)
    added = _added_headers(submission, key, server, token, host, present)
    if recipient.isascii() and recipient and "to" not in present:
        added += mailbox_field("To", [("", parse_address(recipient))])
    if resent_sender:
        added = f"Resent-Sender: {resent_sender}\r\n".encode("ascii") + added
    return Rendered(
        added + rewritten.raw, rewritten.links, rewritten.pixels, rewritten.untracked_long
    )


def _trackers(
    submission: Submission, server: Server, key: DeliveryKey, tracking_key: TrackingKey
) -> tuple[Callable[[str], str] | None, str | None]:
    tracking = server.tracking
    if tracking is None:
        return None, None
    base, place = tracking.base_url, (key.server, key.number, key.index)
    token = click_tokens(tracking_key, server=place[0], number=place[1], index=place[2])

    def link(url: str) -> str:
        return f"{base}/c/{token(url)}"

    seen = open_token(tracking_key, server=place[0], number=place[1], index=place[2])
    clicks, opens = submission.track_clicks, submission.track_opens
    clicks = tracking.clicks if clicks is None else clicks
    opens = tracking.opens if opens is None else opens
    return (link if clicks else None), (f"{base}/o/{seen}" if opens else None)


def _without_dropped(raw: bytes) -> tuple[bytes, set[str]]:
    """Drop Bcc fields, what was said to us alone, and message tokens that are not ours.

    Returns the message and the names of the fields that it has then.

    RFC 5322 section 3.6.3 leaves Bcc to whoever submits; people forget. A token of the author's
    (mail sent through two installations, or a forgery) would name another message in reports.
    """
    block, rest = headers.split(raw)
    present: set[str] = set()
    spans = []
    for f in headers.fields(block):
        if f.name in _DROPPED or f.name.startswith(PREFIX):
            spans.append((f.start, f.end))
        else:
            present.add(f.name)
    if not spans:
        return raw, present
    for start, end in reversed(spans):
        block = block[:start] + block[end:]
    return block + rest, present


def _added_headers(
    submission: Submission,
    key: DeliveryKey,
    server: Server,
    token: str,
    host: str,
    present: set[str],
) -> bytes:
    lines = [f"X-Postal-MsgID: {token}"]
    if "feedback-id" not in present:
        # Google's form: up to four fields, the last one the sender that every mail shares.
        lines.append(f"Feedback-ID: {submission.source}:{server.token}:{key.server}:{PLATFORM}")
    if "message-id" not in present:
        lines.append(f"Message-ID: <{key}@{host}>")
    if "date" not in present:
        lines.append(f"Date: {formatdate(submission.accepted_at, usegmt=False)}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
