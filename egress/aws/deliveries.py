"""Claims and verdicts on the mail table, 25 statements a call, each with its own condition.

The rows are those of `mailroom.adapters.tables`; a contract test holds both spellings together.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from egress.aws.batching import Batcher
from mailroom.adapters.mail_rows import load_mapping, load_tags
from mailroom.adapters.names import (
    SUBMISSION,
    delivery_sk,
    mail_pk,
    read_delivery_key,
    shard_of,
)
from mailroom.domain.claim import claim_name
from mailroom.domain.event import Event, EventType, dump_event
from mailroom.domain.lifecycle import CLAIMABLE, State
from mailroom.domain.message import (
    METADATA_DAYS,
    TRANSACTIONAL,
    BodyRef,
    Delivery,
    DeliveryKey,
    ServerId,
    Submission,
    WakeUp,
)

_STATEMENTS = 25  # BatchExecuteStatement's own limit
_READS = 100  # BatchGetItem's own limit
_READ_TRIES = 5
_READ_PAUSE = 0.02  # seconds, doubled with each try
_MS = 1000
_REFUSED = "ConditionalCheckFailed"

Statement = dict[str, Any]
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimAsk:
    """Wish to be the only one to send a delivery until `until` (Unix seconds)."""

    wake_up: WakeUp
    claim: str
    until: float


class LedgerError(Exception):
    """The table did not answer a statement; nothing is known about its effect."""


class _Statements:
    """The updates, written once. The table's name is ours, never a caller's."""

    def __init__(self, table: str) -> None:
        update = f'UPDATE "{table}" SET "state"=?'  # noqa: S608 - see the class docstring
        mine = 'REMOVE claim REMOVE "until" WHERE pk=? AND sk=? AND claim=?'
        verdict = f"{update} SET gen=? SET att=? SET unc=? SET event=?"
        states = ", ".join("?" * len(CLAIMABLE))
        self.claim = (
            f'{update} SET claim=? SET "until"=? WHERE pk=? AND sk=? AND gen=? '
            f'AND "state" IN ({states}) RETURNING ALL NEW *'
        )
        self.release = f"{update} SET gen=? {mine}"
        self.park = f"{update} SET gen=? SET due_at=? SET due_shard=? {mine}"
        self.final = f"{verdict} REMOVE due_at REMOVE due_shard {mine}"
        self._again = f"{verdict} SET due_at=? SET due_shard=?"
        self._verdict, self._mine = verdict, mine
        # Neither state is a claimed one.
        self._lost = (
            'REMOVE claim REMOVE "until" WHERE pk=? AND sk=? AND gen=? AND "state" IN (?, ?)'
        )

    def again(self, memory: Mapping[str, Any], *, lost: bool = False) -> str:
        """Return the update that lets a delivery wait, with what it remembers meanwhile."""
        kept = " ".join(f"SET {name}=?" for name, value in memory.items() if value)
        gone = " ".join(f"REMOVE {name}" for name, value in memory.items() if not value)
        return f"{self._again} {kept} {gone} {self._lost if lost else self._mine}"

    def ended(self, *, lost: bool = False) -> str:
        """Return the update that ends a delivery."""
        return (
            f"{self._verdict} REMOVE due_at REMOVE due_shard {self._lost}" if lost else self.final
        )


class Deliveries:
    """The sender's view of the mail table.

    One call must not name an item twice, so the caller works on a delivery once at a time.
    """

    def __init__(self, dynamodb: Any, table: str) -> None:
        """Take an aiobotocore DynamoDB client."""
        self._dynamodb = dynamodb
        self._table = table
        self._statements = _Statements(table)
        self._writes: Batcher[Statement, Mapping[str, Any]] = Batcher(
            self._execute, size=_STATEMENTS
        )
        self._reads: Batcher[str, Item | None] = Batcher(self._read, size=_READS)

    async def claim(self, ask: ClaimAsk) -> Delivery | None:
        """Take the delivery, or None if it is finished, claimed, or the wake-up is stale."""
        key = ask.wake_up.key
        answer = await self._write(
            self._statements.claim,
            _s(State.ATTEMPTING),
            _s(ask.claim),
            _n(round(ask.until * _MS)),
            *place(key),
            _n(ask.wake_up.generation),
            *(_s(state) for state in sorted(CLAIMABLE)),
        )
        item = answer.get("Item") if applied(answer) else None
        delivery = read_delivery(item) if item else await self.get(key)
        # A refusal may be the echo of our own claim whose first answer was lost on the way.
        return delivery if delivery and delivery.claim == ask.claim else None

    async def settle(self, claim: str, after: Delivery, event: Event) -> bool:
        """Write the verdict with its event; False if the claim is not ours any more."""
        statement, parameters = self._verdict(after, event, lost=False)
        return applied(await self._write(statement, *parameters, *place(after.key), _s(claim)))

    async def correct(self, claim: str, after: Delivery, event: Event) -> Delivery | None:
        """Write down late what came of an attempt whose `claim` was given up for lost.

        `after` and `event` are those of its settlement. Returns the delivery as it is then, its
        generation one higher, so that the other copy's wake-ups are stale. None, and nothing is
        changed, if its claim was not given up, or somebody has claimed it since.
        """
        item = await self._get(*_texts(after.key))
        if item is None or not _was_given_up(item, claim, after):
            return None
        known = replace(after, generation=after.generation + 1)
        statement, parameters = self._verdict(known, event, lost=True)
        states = (_s(state) for state in _GIVEN_UP)
        answer = await self._write(
            statement, *parameters, *place(after.key), _n(after.generation), *states
        )
        return known if applied(answer) else None

    def _verdict(
        self, after: Delivery, event: Event, *, lost: bool
    ) -> tuple[str, Sequence[dict[str, Any]]]:
        parameters: list[dict[str, Any]] = [
            _s(after.state),
            _n(after.generation),
            _n(after.attempts),
            _n(after.uncertain),
            _s(json.dumps(dump_event(event), separators=(",", ":"))),
        ]
        if after.due_at is None:
            return self._statements.ended(lost=lost), parameters
        memory = _memory(after)
        statement = self._statements.again(memory, lost=lost)
        kept = [value for value in memory.values() if value]
        return statement, [*parameters, *_due(after.key, after.due_at), *kept]

    async def release(
        self,
        claim: str,
        key: DeliveryKey,
        back_to: State,
        generation: int,
        due_at: float | None = None,
    ) -> bool:
        """Give a claim back unsent; False if it is not ours any more. No event, no attempt.

        With `due_at` (Unix seconds) the due index brings the delivery then.
        """
        statement, due = self._statements.release, []
        if due_at is not None:
            statement, due = self._statements.park, _due(key, due_at)
        answer = await self._write(
            statement, _s(back_to), _n(generation), *due, *place(key), _s(claim)
        )
        return applied(answer)

    async def get(self, key: DeliveryKey) -> Delivery | None:
        """Return the delivery as it is now."""
        item = await self._get(*_texts(key))
        return read_delivery(item) if item else None

    async def submission(self, server: ServerId, number: int) -> Submission | None:
        """Return the submission if it is committed."""
        item = await self._reads.ask(mail_pk(server, number))
        return _submission(server, number, item) if item else None

    async def drain(self) -> None:
        """Wait for the writes under way."""
        await asyncio.gather(self._writes.drain(), self._reads.drain())

    async def _write(self, statement: str, *parameters: dict[str, Any]) -> Mapping[str, Any]:
        return await self._writes.ask({"Statement": statement, "Parameters": list(parameters)})

    async def _get(self, pk: str, sk: str) -> dict[str, Any] | None:
        answer = await self._dynamodb.get_item(
            TableName=self._table, Key={"pk": _s(pk), "sk": _s(sk)}, ConsistentRead=True
        )
        item: dict[str, Any] | None = answer.get("Item")
        return item

    async def _read(self, names: Sequence[str]) -> Sequence[Item | None]:
        """Read submissions by partition key. A call must not name one twice, its callers may."""
        found: dict[str, Item] = {}
        keys = [{"pk": _s(name), "sk": _s(SUBMISSION)} for name in dict.fromkeys(names)]
        for tries in range(_READ_TRIES):
            if tries:
                await asyncio.sleep(_READ_PAUSE * 2**tries)
            answer = await self._dynamodb.batch_get_item(
                RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}}
            )
            for item in answer["Responses"].get(self._table, []):
                found[item["pk"]["S"]] = item
            # A throttled table, or 16 MB of answers: the rest must be asked for again.
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            if not keys:
                return [found.get(name) for name in names]
        raise LedgerError(f"{len(keys)} submissions were not read")

    async def _execute(self, statements: Sequence[Statement]) -> Sequence[Mapping[str, Any]]:
        answer = await self._dynamodb.batch_execute_statement(Statements=list(statements))
        responses: Sequence[Mapping[str, Any]] = answer["Responses"]
        return responses


_GIVEN_UP = (State.DEFERRED, State.UNCERTAIN)


def _was_given_up(item: Item, claim: str, after: Delivery) -> bool:
    """Say whether the last that happened to a delivery is that `claim` was lost."""
    if int(item["gen"]["N"]) != after.generation or "event" not in item:
        return False
    last = json.loads(item["event"]["S"])
    is_unclaimed = item["state"]["S"] in _GIVEN_UP
    is_loss = last.get("id") == f"{after.key}/{after.generation}/{EventType.UNCERTAIN}"
    # Of one generation there may have been other claims, which their process never had.
    is_its = (last.get("attempt") or {}).get("log_id") == claim_name(claim)
    return is_unclaimed and is_loss and is_its


def _memory(after: Delivery) -> Mapping[str, dict[str, Any] | None]:
    """Return what a waiting delivery remembers, by attribute; None for what has its default."""
    return {
        "stick": _s(after.sticky) if after.sticky else None,
        "stall": _n(after.stalls) if after.stalls else None,
        "late": {"BOOL": True} if after.late else None,
    }


def applied(answer: Mapping[str, Any]) -> bool:
    """Say whether a statement took effect. Raises LedgerError if that is not known."""
    error = answer.get("Error")
    if error is None:
        return True
    if str(error.get("Code", "")).startswith(_REFUSED):
        return False
    raise LedgerError(f"{error.get('Code')}: {error.get('Message')}")


def _texts(key: DeliveryKey) -> tuple[str, str]:
    return mail_pk(key.server, key.number), delivery_sk(key.index)


def place(key: DeliveryKey) -> list[dict[str, str]]:
    """Return the key of a delivery's row as parameters of a statement."""
    return [_s(text) for text in _texts(key)]


def _due(key: DeliveryKey, due_at: float) -> list[dict[str, str]]:
    return [_n(round(due_at * _MS)), _s(shard_of(key.server, key.number))]


def _s(text: str) -> dict[str, str]:
    return {"S": str(text)}


def _n(number: int) -> dict[str, str]:
    return {"N": str(number)}


def _seconds(item: Mapping[str, Any], name: str) -> float | None:
    return int(item[name]["N"]) / _MS if name in item else None


def read_delivery(item: Mapping[str, Any]) -> Delivery:
    """Return the delivery that a row stands for."""
    return Delivery(
        key=read_delivery_key(item["pk"]["S"], item["sk"]["S"]),
        recipient=item["rcpt"]["S"],
        state=State(item["state"]["S"]),
        accepted_at=int(item["at"]["N"]) / _MS,
        expires_at=int(item["exp"]["N"]) / _MS,
        attempts=int(item["att"]["N"]),
        uncertain=int(item["unc"]["N"]),
        generation=int(item["gen"]["N"]),
        claim=item["claim"]["S"] if "claim" in item else None,
        claim_until=_seconds(item, "until"),
        due_at=_seconds(item, "due_at"),
        manual="manual" in item and item["manual"]["BOOL"],
        merge=load_mapping(item["merge"]["S"] if "merge" in item else None),
        bulk="bulk" in item and item["bulk"]["BOOL"],
        sticky=item["stick"]["S"] if "stick" in item else "",
        stalls=int(item["stall"]["N"]) if "stall" in item else 0,
        late="late" in item and item["late"]["BOOL"],
    )


def _submission(server: ServerId, number: int, item: Mapping[str, Any]) -> Submission:
    def text(name: str) -> str | None:
        return item[name]["S"] if name in item else None

    def flag(name: str) -> bool | None:
        return item[name]["BOOL"] if name in item else None

    inline = item["inline"]["B"] if "inline" in item else None
    return Submission(
        server=server,
        number=number,
        accepted_at=int(item["at"]["N"]) / _MS,
        expires_at=int(item["exp"]["N"]) / _MS,
        mail_from=text("mail_from") or "",
        from_address=text("author") or "",
        sign_domain=text("domain") or "",
        subject=text("subject") or "",
        message_id=text("mid"),
        tag=text("tag"),
        size=int(item["size"]["N"]),
        recipients=int(item["rcpts"]["N"]),
        source=text("source") or "",
        bounce=item["bounce"]["BOOL"],
        body=BodyRef(inline=inline, key=text("body")),
        credential=text("cred") or "",
        received_with_ssl=flag("ssl"),
        hold=bool(flag("hold")),
        utf8=bool(flag("utf8")),
        dsn=text("dsn") or "",
        stream=text("stream") or TRANSACTIONAL,
        tags=load_tags(text("tags")),
        metadata=load_mapping(text("meta")),
        track_opens=flag("t_open"),
        track_clicks=flag("t_click"),
        send_at=_seconds(item, "send_at"),
        retention_days=int(item["days"]["N"]) if "days" in item else METADATA_DAYS,
        raw_until=_seconds(item, "raw_until"),
        test=bool(flag("test")),
        individual=bool(flag("indiv")),
    )
