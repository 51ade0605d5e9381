"""The Suppressions port on DynamoDB: `<scope>` / `<keyed hash of the address>`."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DeleteError, PutError, UpdateError

from mailroom.adapters.tables import Row, bound
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import (
    MAX_DETAIL,
    Reason,
    Suppression,
    merged,
    normal_address,
    recipient_hmac,
    scopes_of,
    strongest,
)
from mailroom.ports import Clock
from mailroom.ports.suppressions import SuppressionPage
from mailroom.settings import Settings

MAX_FILTERED = 1_000  # rows that one page with a filter reads
_MS = 1000
_TRIES = 5
_STATEMENTS = 25  # DynamoDB's own limit
_THREADS = 4
_CURSOR = re.compile(r"[0-9a-f]{64}\Z")

Place = tuple[str, str]  # a scope and the hash of an address


class SuppressionRow(Row):
    """`<scope>` / `<hash>`. `addr` is missing once the person was erased."""

    reason = UnicodeAttribute()
    at = NumberAttribute()
    addr = UnicodeAttribute(null=True)
    exp = NumberAttribute(null=True)
    why = UnicodeAttribute(default="")
    src = UnicodeAttribute(default="")


class DynamoSuppressions:
    """Suppressions, found by batches of keys."""

    def __init__(
        self, settings: Settings, clock: Clock, secret: Callable[[], bytes], dynamodb: Any = None
    ) -> None:
        """`secret` gives the key of the hashes; `dynamodb` (a client) is for `add_many` alone."""
        self._table = settings.resource("table", "suppressions")
        self._rows = bound(SuppressionRow, self._table)
        self._clock = clock
        self._secret = secret
        self._dynamodb = dynamodb

    def among(
        self, organisation: str, server: ServerId, stream: str, addresses: Sequence[str]
    ) -> Mapping[str, Suppression]:
        """See Suppressions.among. Each scope of each address is one key of at most 100 a call."""
        hashes = {address: self._hash(address) for address in addresses}
        wanted = sorted({hashed for hashed in hashes.values() if hashed})
        scopes = scopes_of(organisation, server, stream)
        keys = [(scope, hashed) for hashed in wanted for scope in scopes]
        found = self._read_many(keys)
        answer = {}
        for address, hashed in hashes.items():
            rows = [found[scope, hashed] for scope in scopes if (scope, hashed) in found]
            worst = strongest(self._counting(rows))
            if worst is not None:
                answer[address] = worst
        return answer

    def add(self, scope: str, suppression: Suppression) -> bool:
        """See Suppressions.add. One conditional put; what is there already costs two more."""
        row = self._row(scope, suppression)
        if self._put(row, self._rows.pk.does_not_exist()):
            return True
        for _ in range(_TRIES):
            stored = self._read(row.pk, row.sk)
            known = _load(stored) if stored else None
            after = merged(known, _load(row))
            if after is None:
                return False
            unchanged = _unchanged(self._rows, stored)
            if self._put(self._row(scope, after, row.sk), unchanged):
                return known is None or not known.counts(suppression.created_at)
        raise RuntimeError("a suppression keeps changing")

    def add_many(self, scope: str, suppressions: Sequence[Suppression]) -> int:
        """See Suppressions.add_many. 25 conditional inserts a call; the rest goes through `add`."""
        rows: dict[str, SuppressionRow] = {}
        again = []  # a second one of an address may be the stronger
        for each in suppressions:
            row = self._row(scope, each)
            if rows.setdefault(row.sk, row) is not row:
                again.append(each)
        with ThreadPoolExecutor(_THREADS) as pool:
            taken = [
                row for found in pool.map(self._insert, _batches(rows.values())) for row in found
            ]
        renewed = sum(self.add(scope, _load(row)) for row in taken)
        return len(rows) - len(taken) + renewed + sum(self.add(scope, each) for each in again)

    def remove(self, scope: str, address: str) -> bool:
        """See Suppressions.remove."""
        row = self._rows(scope, recipient_hmac(self._secret(), address))
        try:
            row.delete(condition=self._rows.pk.exists())
        except DeleteError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def get(self, scope: str, address: str) -> Suppression | None:
        """See Suppressions.get."""
        row = self._read(scope, recipient_hmac(self._secret(), address))
        return next(iter(self._counting([row] if row else [])), None)

    def page(
        self, scope: str, limit: int, cursor: str = "", reason: Reason | None = None
    ) -> SuppressionPage:
        """See Suppressions.page. Without a filter one query."""
        if cursor and not _CURSOR.match(cursor):
            raise ValueError("there is no such cursor")
        after = self._rows.sk > cursor if cursor else None
        most = MAX_FILTERED if reason else limit
        items: list[Suppression] = []
        read, last = 0, ""
        for row in self._rows.query(scope, after, limit=most):
            read, last = read + 1, row.sk
            found = self._counting([row])
            items += [each for each in found if reason in (None, each.reason)]
            if len(items) == limit:
                break
        return SuppressionPage(items, last if len(items) == limit or read == most else "")

    def erase(self, scope: str, address: str) -> bool:
        """See Suppressions.erase. Detail and source go too: they may name the person."""
        row = self._rows(scope, recipient_hmac(self._secret(), address))
        gone = self._rows.addr.remove(), self._rows.why.set(""), self._rows.src.set("")
        try:
            row.update(actions=list[Any](gone), condition=self._rows.pk.exists())
        except UpdateError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def remove_all(self, scope: str, limit: int) -> int:
        """See Suppressions.remove_all. Only keys are read."""
        rows = list(self._rows.query(scope, limit=limit, attributes_to_get=["pk", "sk"]))
        with self._rows.batch_write() as batch:
            for row in rows:
                batch.delete(row)
        return len(rows)

    def _read_many(self, keys: Sequence[Place]) -> Mapping[Place, SuppressionRow]:
        """Return those of the rows that there are, by scope and hash."""
        return {(row.pk, row.sk): row for row in self._rows.batch_get(keys)}

    def _hash(self, address: str) -> str:
        try:
            return recipient_hmac(self._secret(), address)
        except (MalformedAddressError, LookupError):
            return ""  # no address, or a platform that has no key yet and so suppressed nobody

    def _counting(self, rows: Iterable[SuppressionRow]) -> list[Suppression]:
        now = self._clock.now()
        return [each for each in map(_load, rows) if each.counts(now)]

    def _read(self, pk: str, sk: str) -> SuppressionRow | None:
        try:
            return self._rows.get(pk, sk, consistent_read=True)
        except self._rows.DoesNotExist:
            return None

    def _put(self, row: SuppressionRow, condition: Any) -> bool:
        try:
            row.save(condition=condition)
        except PutError as error:
            if error.cause_response_code != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def _row(self, scope: str, each: Suppression, hashed: str = "") -> SuppressionRow:
        address = each.address or ""
        row = self._rows(scope, hashed or recipient_hmac(self._secret(), address))
        row.reason, row.at = str(each.reason), round(each.created_at * _MS)
        row.addr = normal_address(address) if address else None
        row.why, row.src = each.detail[:MAX_DETAIL], each.source
        if each.expires_at is not None:
            row.exp, row.ttl = round(each.expires_at * _MS), int(each.expires_at)
        return row

    def _insert(self, rows: Sequence[SuppressionRow]) -> Sequence[SuppressionRow]:
        """Insert rows whose key is free in one call; return those whose key is taken."""
        parameters = [row.serialize() for row in rows]
        answer = self._dynamodb.batch_execute_statement(
            Statements=[_statement(self._table, each) for each in parameters]
        )
        taken = []
        for row, said in zip(rows, answer["Responses"], strict=True):
            code = said.get("Error", {}).get("Code")
            if code in ("DuplicateItem", "ConditionalCheckFailed"):
                taken.append(row)
            elif code:
                raise RuntimeError(f"an insert failed: {code}")
        return taken


def _statement(table: str, item: Mapping[str, Any]) -> dict[str, Any]:
    fields = ",".join(f"'{name}':?" for name in item)
    return {
        "Statement": f'INSERT INTO "{table}" VALUE {{{fields}}}',
        "Parameters": list(item.values()),
    }


def _unchanged(rows: type[SuppressionRow], stored: SuppressionRow | None) -> Any:
    if stored is None:
        return rows.pk.does_not_exist()
    same = (rows.reason == stored.reason) & (rows.at == stored.at)
    return same & (rows.exp.does_not_exist() if stored.exp is None else rows.exp == stored.exp)


def _load(row: SuppressionRow) -> Suppression:
    return Suppression(
        scope=row.pk,
        reason=Reason(row.reason),
        address=row.addr,
        created_at=row.at / _MS,
        detail=row.why,
        expires_at=None if row.exp is None else row.exp / _MS,
        source=row.src,
    )


def _batches(rows: Iterable[SuppressionRow]) -> Iterable[list[SuppressionRow]]:
    rest = iter(rows)
    while batch := list(islice(rest, _STATEMENTS)):
        yield batch
