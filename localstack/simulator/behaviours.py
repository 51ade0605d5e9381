"""The table of behaviours: what a simulated MX does with mail, chosen by the recipient's address.

Pure. The local part before `+` names the behaviour; what follows `+` keeps mailboxes apart, so
`greylist+run7-12@sim.test` is a mailbox of its own. An unknown name accepts.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

DEFAULT_SLOW_SECONDS = 3
MAX_SLOW_SECONDS = 30
BUSY_GREETING = "421 4.3.2 system not accepting network messages"
ACCEPTED_RECIPIENT = "250 2.1.5 recipient ok"

_SLOW_TAG = re.compile(r"(\d{1,6})s(?![a-z0-9])")


class Act(StrEnum):
    """The kinds of thing a host can do; the order is which one wins when recipients differ."""

    ACCEPT = "accept"
    DELAY = "delay"
    DROP_ONCE = "drop-once"
    REFUSE_MESSAGE = "refuse-message"
    REFUSE_RECIPIENT = "refuse-recipient"
    REFUSE_ONCE = "refuse-once"
    HANG_UP = "hang-up"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row of the table. `reply` is the SMTP reply it gives; `seconds` only matters to DELAY."""

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


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now: give `reply` (empty: none), then close the connection if `close`.

    `store` says whether the message has arrived by then; `seconds` is the wait before the reply.
    """

    reply: str
    close: bool = False
    store: bool = False
    seconds: int = 0


def behaviour(recipient: str) -> Behaviour:
    """Return the row for a recipient address. Total: anything unknown accepts."""
    local = recipient.rpartition("@")[0].lower()
    name, _, tag = local.partition("+")
    row = _BY_NAME.get(name, TABLE[0])
    if row.act is Act.DELAY and (asked := _SLOW_TAG.match(tag)):
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
        case _:
            return Step(ACCEPTED_RECIPIENT)


def final_step(rows: list[Behaviour], *, stored_before: bool) -> Step:
    """What the final dot gets, for the recipients accepted in this transaction.

    There is one reply for all of them, so the strictest behaviour decides (the order of Act).
    `stored_before`: an earlier transaction stored this Message-ID for one of the recipients.
    """
    row = max(rows, key=lambda each: _RANK[each.act], default=TABLE[0])
    match row.act:
        case Act.REFUSE_MESSAGE:
            return Step(row.reply)
        case Act.DROP_ONCE if not stored_before:
            return Step("", close=True, store=True)
        case Act.DELAY:
            return Step(row.reply, store=True, seconds=row.seconds)
        case _:
            return Step(_ACCEPTED, store=True)
