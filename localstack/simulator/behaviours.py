"""The table of behaviours: what a simulated MX does with mail, chosen by the recipient's address.

Pure. The local part before `+` names the behaviour; what follows `+` keeps mailboxes apart, so
`greylist+run7-12@sim.test` is a mailbox of its own. An unknown name accepts.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from localstack.simulator.steps import MAX_SECONDS, Phase, Step, answer

DEFAULT_SLOW_SECONDS = 3
MAX_SLOW_SECONDS = MAX_SECONDS
BUSY_GREETING = "421 4.3.2 system not accepting network messages"
ACCEPTED_RECIPIENT = "250 2.1.5 recipient ok"

_SLOW_TAG = re.compile(r"(\d{1,6})s(?![a-z0-9])")


class Act(StrEnum):
    """The kinds of thing a host can do; the order is which one wins when recipients differ."""

    ACCEPT = "accept"
    LEAVE = "leave"
    DELAY_RECIPIENT = "delay-recipient"
    DELAY_DATA = "delay-data"
    DELAY = "delay"
    DROP_ONCE = "drop-once"
    REFUSE_MESSAGE = "refuse-message"
    LOSE_MESSAGE = "lose-message"
    CUT_BODY = "cut-body"
    REFUSE_DATA = "refuse-data"
    REFUSE_RECIPIENT = "refuse-recipient"
    REFUSE_ONCE = "refuse-once"
    HANG_UP = "hang-up"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table. `reply` is the SMTP reply it gives; `seconds` is for delays."""

    name: str
    act: Act
    reply: str
    summary: str
    seconds: int = 0


_ACCEPTED = "250 2.0.0 message accepted"

TABLE: tuple[Behaviour, ...] = (
    Behaviour("accept", Act.ACCEPT, _ACCEPTED, "accepts; so does every name not in this table"),
    Behaviour(
        "hard-bounce",
        Act.REFUSE_RECIPIENT,
        "550 5.1.1 no such mailbox",
        "refuses the recipient for good: the address does not exist",
    ),
    Behaviour(
        "soft-bounce",
        Act.REFUSE_RECIPIENT,
        "552 5.2.2 mailbox full",
        "refuses the recipient for good: the mailbox is full",
    ),
    Behaviour(
        "blocked",
        Act.REFUSE_RECIPIENT,
        "550 5.7.1 mail from your network is refused by policy",
        "refuses the recipient for good: the sending network is blocked",
    ),
    Behaviour(
        "defer",
        Act.REFUSE_RECIPIENT,
        "451 4.3.0 mailbox temporarily unavailable",
        "defers the recipient, every time",
    ),
    Behaviour(
        "greylist",
        Act.REFUSE_ONCE,
        "451 4.7.1 greylisted, try again later",
        "defers the first attempt for each recipient address, then accepts",
    ),
    Behaviour(
        "ratelimit",
        Act.HANG_UP,
        "421 4.7.0 too many messages, closing connection",
        "answers the recipient with 421 and closes the connection, every time",
    ),
    Behaviour(
        "disconnect",
        Act.CUT,
        "",
        "cuts the connection at the recipient without a reply, every time",
    ),
    Behaviour(
        "reject-data",
        Act.REFUSE_MESSAGE,
        "554 5.7.1 message content refused",
        "refuses the message for good after the final dot",
    ),
    Behaviour(
        "defer-data",
        Act.REFUSE_MESSAGE,
        "451 4.3.0 try again later",
        "defers the message after the final dot, every time",
    ),
    Behaviour(
        "drop-after-dot",
        Act.DROP_ONCE,
        _ACCEPTED,
        "first time for a recipient and Message-ID: stores the message after the final dot, then"
        " cuts the connection without a reply; accepts later ones",
    ),
    Behaviour(
        "throttle",
        Act.REFUSE_RECIPIENT,
        "450 4.7.1 too much mail from your address, slow down",
        "defers the recipient for the sender's rate, every time",
    ),
    Behaviour(
        "defer-at-data",
        Act.REFUSE_DATA,
        "451 4.3.0 not now",
        "defers at the DATA command, every time",
    ),
    Behaviour(
        "reject-at-data",
        Act.REFUSE_DATA,
        "554 5.7.1 no mail for you",
        "refuses for good at the DATA command",
    ),
    Behaviour(
        "close-at-data",
        Act.REFUSE_DATA,
        "421 4.3.2 shutting down",
        "answers DATA with 421 and closes the connection, every time",
    ),
    Behaviour(
        "close-at-dot",
        Act.REFUSE_MESSAGE,
        "421 4.3.2 shutting down",
        "answers the final dot with 421 and closes the connection, every time",
    ),
    Behaviour(
        "cut-in-data",
        Act.CUT_BODY,
        "",
        "cuts the connection while the message is being sent, every time",
    ),
    Behaviour(
        "cut-at-dot",
        Act.LOSE_MESSAGE,
        "",
        "loses the message: cuts the connection after the final dot without a reply, every time",
    ),
    Behaviour(
        "cut-after-reply",
        Act.LEAVE,
        _ACCEPTED,
        "accepts, and closes the connection with its reply to the final dot",
    ),
    Behaviour(
        "slow-rcpt",
        Act.DELAY_RECIPIENT,
        ACCEPTED_RECIPIENT,
        "answers the recipient late: 3 seconds, or slow-rcpt+7s",
        DEFAULT_SLOW_SECONDS,
    ),
    Behaviour(
        "slow-data",
        Act.DELAY_DATA,
        "354 go ahead",
        "answers DATA late: 3 seconds, or slow-data+7s",
        DEFAULT_SLOW_SECONDS,
    ),
    Behaviour(
        "slow",
        Act.DELAY,
        _ACCEPTED,
        "stores the message, then keeps the sender waiting for the final reply: 3 seconds, or as"
        " the address says (slow+7s, at most 30)",
        DEFAULT_SLOW_SECONDS,
    ),
)

_BY_NAME = {row.name: row for row in TABLE}
_RANK = {act: rank for rank, act in enumerate(Act)}
_DELAYS = frozenset({Act.DELAY, Act.DELAY_DATA, Act.DELAY_RECIPIENT})


def behaviour(recipient: str) -> Behaviour:
    """Return the row for a recipient address. Total: anything unknown accepts."""
    local = recipient.rpartition("@")[0].lower()
    name, _, tag = local.partition("+")
    row = _BY_NAME.get(name, TABLE[0])
    if row.act in _DELAYS and (asked := _SLOW_TAG.match(tag)):
        return replace(row, seconds=min(int(asked[1]), MAX_SLOW_SECONDS))
    return row


def recipient_step(row: Behaviour, *, seen_before: bool) -> Step:
    """What RCPT gets. `seen_before`: this address was deferred by greylisting earlier."""
    match row.act:
        case Act.REFUSE_RECIPIENT:
            return Step(row.reply)
        case Act.REFUSE_ONCE if not seen_before:
            return Step(row.reply)
        case Act.HANG_UP | Act.CUT:
            return Step(row.reply, close=True)
        case Act.DELAY_RECIPIENT:
            return Step(ACCEPTED_RECIPIENT, seconds=row.seconds)
        case _:
            return Step(ACCEPTED_RECIPIENT)


def data_step(rows: list[Behaviour], phase: Phase) -> Step | None:
    """What the DATA command (phase DATA) and the text after it (BODY) get; None: what is usual."""
    row = _strictest(rows)
    match row.act, phase:
        case Act.REFUSE_DATA, Phase.DATA:
            return answer(row.reply)
        case Act.DELAY_DATA, Phase.DATA:
            return Step("", seconds=row.seconds)
        case Act.CUT_BODY, Phase.BODY:
            return Step("", close=True)
        case _:
            return None


def final_step(rows: list[Behaviour], *, stored_before: bool) -> Step:
    """What the final dot gets, for the recipients accepted in this transaction.

    There is one reply for all of them, so the strictest behaviour decides (the order of Act).
    `stored_before`: an earlier transaction stored this Message-ID for one of the recipients.
    """
    row = _strictest(rows)
    match row.act:
        case Act.REFUSE_MESSAGE:
            return answer(row.reply)
        case Act.LOSE_MESSAGE:
            return Step("", close=True)
        case Act.LEAVE:
            return Step(row.reply, close=True, store=True)
        case Act.DROP_ONCE if not stored_before:
            return Step("", close=True, store=True)
        case Act.DELAY:
            return Step(row.reply, store=True, seconds=row.seconds)
        case _:
            return Step(_ACCEPTED, store=True)


def _strictest(rows: list[Behaviour]) -> Behaviour:
    return max(rows, key=lambda each: _RANK[each.act], default=TABLE[0])
