"""Read a submission's raw message back, wherever it lies."""

import zlib

from mailroom.domain.message import Submission
from mailroom.errors import BodyGoneError
from mailroom.ports import Bodies

_MAX_UNPACKED = 64 * 1024 * 1024  # octets: a damaged row must not fill the memory


def raw_message(submission: Submission, bodies: Bodies, now: float | None = None) -> bytes:
    """Return the message as it was accepted: CRLF, before tracking and signing.

    Raises BodyGoneError when its retention is over, at `now` (Unix seconds) if that is given:
    rows and buckets keep what they have a little longer, but it is nobody's to read.
    """
    body = submission.body
    if now is not None and submission.raw_until is not None and now >= submission.raw_until:
        raise BodyGoneError(str(submission.number))
    if body.inline is not None:
        return zlib.decompressobj().decompress(body.inline, _MAX_UNPACKED)
    if not body.key:
        raise BodyGoneError("it was erased")
    try:
        return bodies.get(body.key)
    except KeyError as error:
        raise BodyGoneError(body.key) from error
