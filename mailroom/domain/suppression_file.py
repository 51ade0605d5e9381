"""Files of suppressions: ours, and those other products export. Text in, values out.

A file is a list of records: CSV with or without a header, or one JSON object a line. Which product
wrote it is told by its header; what a line cannot mean is a sentence about that line.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailroom.domain.address import MalformedAddressError
from mailroom.domain.suppression import MAX_DETAIL, Reason, Suppression, normal_address

COLUMNS = ("address", "reason", "detail", "created_at", "expires_at", "source")
_GUARDED = ("=", "+", "-", "@", "\t", "\r", "'")  # a spreadsheet takes the first four for formulas
_LATEST = 32_503_680_000.0  # the year 3000: what is later is no second but a millisecond
_RFC_2822 = ("%a, %d %b %Y %H:%M:%S %Z", "%d %b %Y %H:%M:%S %Z")
_DELIMITERS = (",", ";", "\t")

# What columns are called, by whom, in lower case.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "address": ("address", "email", "recipient", "email address", "email_address"),
    "reason": ("reason", "type", "list"),
    "detail": ("detail", "error", "description"),
    "code": ("code", "status"),
    "created_at": ("created_at", "created", "timestamp", "date"),
    "expires_at": ("expires_at", "keep_until"),
    "source": ("source",),
}
_REASONS: Mapping[str, Reason] = {
    **{str(reason): reason for reason in Reason},
    "too_many_hard_fails": Reason.HARD_BOUNCE,
    "too_many_soft_fails": Reason.SOFT_BOUNCES,
    "bounce": Reason.HARD_BOUNCE,
    "bounces": Reason.HARD_BOUNCE,
    "complaints": Reason.COMPLAINT,
    "spam_report": Reason.COMPLAINT,
    "spam_reports": Reason.COMPLAINT,
    "unsubscribes": Reason.UNSUBSCRIBE,
    "unsubscribed": Reason.UNSUBSCRIBE,
}


class LineError(ValueError):
    """A record cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the records of one file are to be read.

    `columns` are the names in order, "" for what nobody needs; `product` is who wrote it, as far
    as the header tells. Empty columns mean JSON lines.
    """

    product: str
    columns: tuple[str, ...] = ()
    delimiter: str = ","

    @property
    def has_quotes(self) -> bool:
        """Say whether a record can go over several lines."""
        return bool(self.columns)


@dataclass(frozen=True, slots=True)
class Given:
    """What holds for all records of one import: the reason of those that name none, who, when."""

    scope: str
    reason: Reason
    source: str
    now: float


JSON_LINES = Layout("json")


def recognise(first: str) -> tuple[Layout, bool]:
    """Return the layout of the CSV file whose first record is given, and whether that is a header.

    Raises LineError if there is no column of addresses.
    """
    delimiter = max(_DELIMITERS, key=first.count)
    cells = [cell.strip().lower() for cell in _cells(first, delimiter)]
    columns = tuple(_column(cell) for cell in cells)
    if columns.count("address") == 1:
        return Layout(_product(cells), columns, delimiter), True
    at = next((at for at, cell in enumerate(cells) if "@" in cell), None)
    if at is None:
        raise LineError("no column is called address or email, and the first line has no address")
    return Layout("plain", tuple("address" if each == at else "" for each in range(at + 1)),
                  delimiter), False  # fmt: skip


def read_record(text: str, layout: Layout, given: Given) -> Suppression | None:
    """Return what a record says, None for an empty one. Raises LineError."""
    if not text.strip():
        return None
    fields = _csv_fields(text, layout) if layout.columns else _json_fields(text)
    try:
        address = normal_address(fields.get("address", ""))
    except MalformedAddressError as error:
        raise LineError(str(error)) from error
    said = fields.get("reason", "").strip()
    known = _REASONS.get(said.lower().replace(" ", "_").replace("-", "_"))
    parts = ("" if known or said == "recipient" else said, fields.get("code"), fields.get("detail"))
    created = _moment(fields.get("created_at", ""), "created_at")
    expires = _moment(fields.get("expires_at", ""), "expires_at")
    return Suppression(
        scope=given.scope,
        reason=known or given.reason,
        address=address,
        created_at=given.now if created is None else min(created, given.now),
        detail=" ".join(part.strip() for part in parts if part and part.strip())[:MAX_DETAIL],
        expires_at=expires,
        source=given.source,
    )


def write_records(suppressions: Sequence[Suppression]) -> str:
    """Return suppressions as CSV under our header.

    Cells that a spreadsheet would take for a formula begin with an apostrophe; `read_record`
    takes it off again. Erased ones have no address and are left out.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in suppressions:
        if each.address is None:
            continue
        cells = [each.address, str(each.reason), each.detail, _time(each.created_at)]
        cells += [_time(each.expires_at) if each.expires_at is not None else "", each.source]
        writer.writerow([guard(cell) for cell in cells])
    return out.getvalue()


def guard(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_GUARDED) else cell


def _unguard(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_GUARDED) else cell


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise LineError(f"not CSV: {error}") from error
    return rows[0] if rows else []


def _column(cell: str) -> str:
    return next((name for name, known in _NAMES.items() if cell in known), "")


def _product(cells: Sequence[str]) -> str:
    known = set(cells)
    if {"address", "timestamp", "keep_until"} <= known:
        return "postal"
    if "email" in known and "created" in known:
        return "sendgrid"
    if "address" in known and "created_at" in known and not {"reason", "expires_at"} & known:
        return "mailgun"
    return "mailroom" if known.issuperset({"address", "reason", "expires_at"}) else "csv"


def _csv_fields(text: str, layout: Layout) -> Mapping[str, str]:
    cells = _cells(text, layout.delimiter)
    if len(cells) > len(layout.columns) and layout.product != "plain":
        raise LineError(f"{len(cells)} cells, but the header has {len(layout.columns)}")
    named = zip(layout.columns, cells, strict=False)
    return {name: _unguard(cell.strip()) for name, cell in named if name}


def _json_fields(text: str) -> Mapping[str, str]:
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LineError("not JSON") from error
    if not isinstance(stored, dict):
        raise LineError("not a JSON object")
    fields = {}
    for name, value in stored.items():
        column = _column(str(name).lower())
        if not column or value is None:
            continue
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise LineError(f"{column} is no text")
        fields[column] = str(value)
    return fields


def _moment(text: str, name: str) -> float | None:
    """Read Unix seconds, ISO 8601 or the date of a mail header; nothing and 0 are None."""
    text = text.strip()
    if not text:
        return None
    moment = _seconds(text)
    if moment is None:
        raise LineError(f"{name} is no time")
    return moment or None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return _date(text)
    return seconds if 0 <= seconds < _LATEST else None


def _date(text: str) -> float | None:
    for read in (datetime.fromisoformat, *map(_reader, _RFC_2822)):
        try:
            moment = read(text)
        except ValueError:
            continue
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return seconds if 0 <= seconds < _LATEST else None
    return None


def _reader(form: str) -> Callable[[str], datetime]:
    return lambda text: datetime.strptime(text, form).replace(tzinfo=UTC)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
