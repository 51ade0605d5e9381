"""The sender's moments: where a crash could lose or repeat mail (`egress/faults.py`)."""

from enum import StrEnum


class Moment(StrEnum):
    """The instants around the three writes that decide a delivery (`attempt.py`)."""

    BEFORE_CLAIM = "before-claim"
    AFTER_CLAIM = "after-claim"
    BEFORE_DOT = "before-dot"
    AFTER_DOT = "after-dot"
    AFTER_REPLY = "after-reply"
    AFTER_VERDICT = "after-verdict"
