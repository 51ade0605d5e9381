"""Documents that operators publish: shaping and reply rules, in versions that are never changed.

Hosts take a new version over within seconds (`egress/documents.py`). Rows of a kind's partition:
`version#<number, so that the newest comes first>` says who published what and why, and
`part#<digest>#<n>` holds the text. The version's row is written last and only where none is: of
two people who publish at once, one is told so. Parts are named by their content, so that what a
failure leaves behind harms nobody, and going back copies nothing.
"""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from mailroom.domain.document_diff import diff_documents
from mailroom.domain.replies.lint import problems_of as problems_of_rules
from mailroom.domain.replies.rule_json import load_book
from mailroom.domain.shaping.loading import problems_of as problems_of_shaping
from mailroom.domain.tenancy.record import ABSENT, Place, Record
from mailroom.errors import AlreadyExistsError, DocumentError, NotFoundError, RevisionError
from mailroom.ports.control import Control

MAX_OCTETS = 2_000_000
MAX_REASON = 500
MAX_AUTHOR = 200
MAX_PROBLEMS = 100
_PART = 300_000  # characters: a row of DynamoDB has 400 KB
_LAST = 999_999_999
_VERSION, _TEXT = "version#", "part#"

Document = Mapping[str, Any]
Check = Callable[[Document], Sequence[str]]


class Kind(StrEnum):
    """What can be published. Values are partitions, and names of generations; never rename them."""

    SHAPING = "shaping"
    RULES = "rules"


def check_rules(document: Document) -> Sequence[str]:
    """Return all that is wrong with a document of reply rules."""
    try:
        book = load_book(document)
    except ValueError as error:
        return [str(error)]
    return [str(problem) for problem in problems_of_rules(book)]


CHECKS: Mapping[Kind, Check] = {Kind.SHAPING: problems_of_shaping, Kind.RULES: check_rules}


@dataclass(frozen=True, slots=True)
class PublishPorts:
    """Where documents lie, and what says what is wrong with one."""

    control: Control
    checks: Mapping[Kind, Check] = field(default_factory=lambda: CHECKS)


@dataclass(frozen=True, slots=True)
class Version:
    """One published version; `at` is in Unix seconds. `back_to` is the version whose content it
    repeats, None if it is no rollback.
    """

    kind: Kind
    number: int
    author: str
    reason: str
    at: float
    digest: str
    size: int
    text: str
    parts: int
    back_to: int | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """A version with its content."""

    version: Version
    document: Document


def publish(
    kind: Kind,
    document: Document,
    author: str,
    reason: str,
    now: float,
    ports: PublishPorts,
    expected: int | None = None,
) -> Version:
    """Publish a document and return its version.

    `expected` is the number of the version that the caller has seen last, 0 for none, None for
    whatever there is. Raises DocumentError with all that is wrong with it, AlreadyExistsError if
    it is what is published now, RevisionError if somebody else was faster.
    """
    _check_words(author, reason)
    text, digest = _canonical(document)
    problems = ports.checks[kind](document)
    if problems:
        raise DocumentError(f"the document is not valid: {problems[0]}", problems[:MAX_PROBLEMS])
    last = newest_version(kind, ports)
    _check_expected(kind, last, expected)
    if last and last.digest == digest:
        raise AlreadyExistsError(
            f"version {last.number} of {kind} has this content", field="document"
        )
    packed = base64.b85encode(zlib.compress(text.encode(), 6)).decode()
    name = sha256(packed.encode()).hexdigest()
    pieces = [packed[start : start + _PART] for start in range(0, len(packed), _PART)]
    for place, piece in zip(_text_places(kind, name, len(pieces)), pieces, strict=True):
        ports.control.put(Record(place, {"text": piece}))
    number = last.number + 1 if last else 1
    size = len(text.encode())
    made = Version(kind, number, author, reason, now, digest, size, name, len(pieces))
    return _commit(made, ports)


def rollback(
    kind: Kind,
    to: int,
    author: str,
    reason: str,
    now: float,
    ports: PublishPorts,
    expected: int | None = None,
) -> Version:
    """Publish the content of version `to` again, as a new version.

    It is checked as it was not when it was new: rules of the checks may have become stricter.
    Raises NotFoundError for a version that is not there, and what `publish` raises.
    """
    _check_words(author, reason)
    old = version(kind, to, ports)
    last = newest_version(kind, ports)
    _check_expected(kind, last, expected)
    if last is None or last.digest == old.version.digest:
        raise AlreadyExistsError(f"{kind} has the content of version {to} now", field="to")
    problems = ports.checks[kind](old.document)
    if problems:
        raise DocumentError(f"version {to} is not valid: {problems[0]}", problems[:MAX_PROBLEMS])
    made = Version(
        kind=kind,
        number=last.number + 1,
        author=author,
        reason=reason,
        at=now,
        digest=old.version.digest,
        size=old.version.size,
        text=old.version.text,
        parts=old.version.parts,
        back_to=to,
    )
    return _commit(made, ports)


def current(kind: Kind, ports: PublishPorts) -> Published | None:
    """Return what is published now, None if nothing ever was."""
    newest = newest_version(kind, ports)
    return _with_document(newest, ports) if newest else None


def newest_version(kind: Kind, ports: PublishPorts) -> Version | None:
    """Return the version that counts now, None if nothing was ever published."""
    records = ports.control.page(kind, _VERSION, limit=1).records
    return _loaded(kind, records[0]) if records else None


def version(kind: Kind, number: int, ports: PublishPorts) -> Published:
    """Return one version. Raises NotFoundError."""
    found = ports.control.read(_place(kind, number)) if 0 < number < _LAST else None
    if found is None:
        raise NotFoundError(f"there is no version {number} of {kind}")
    return _with_document(_loaded(kind, found), ports)


def versions(
    kind: Kind, ports: PublishPorts, *, limit: int = 50, before: int | None = None
) -> Sequence[Version]:
    """Return versions, the newest first; only those before number `before` if it is given."""
    after = "" if before is None else _place(kind, max(1, min(before, _LAST))).sort
    page = ports.control.page(kind, _VERSION, limit=limit, after=after)
    return [_loaded(kind, record) for record in page.records]


def diff(kind: Kind, a: int, b: int, ports: PublishPorts) -> Sequence[str]:
    """Return in lines what is different in version `b` than in `a`. Raises NotFoundError."""
    return diff_documents(version(kind, a, ports).document, version(kind, b, ports).document)


def generation(kind: Kind, control: Control) -> int:
    """Return the number that grows with every version published."""
    found = control.read(_generation(kind))
    return found.revision if found else 0


def _commit(made: Version, ports: PublishPorts) -> Version:
    body = {
        "number": made.number,
        "author": made.author,
        "reason": made.reason,
        "at": made.at,
        "digest": made.digest,
        "size": made.size,
        "text": made.text,
        "parts": made.parts,
        "back_to": made.back_to,
    }
    if ports.control.put(Record(_place(made.kind, made.number), body), ABSENT) is None:
        raise RevisionError(f"somebody else has published version {made.number} of {made.kind}")
    # If this fails, hosts still see the version when they look at everything, once a minute.
    ports.control.put(Record(_generation(made.kind), {}))
    return made


def _with_document(of: Version, ports: PublishPorts) -> Published:
    """Read the text of a version. Raises ValueError if it is not what was published."""
    found = [ports.control.read(place) for place in _text_places(of.kind, of.text, of.parts)]
    packed = "".join(str(record.body["text"]) for record in found if record)
    if sha256(packed.encode()).hexdigest() != of.text:
        raise ValueError(f"the text of version {of.number} of {of.kind} is damaged")
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(base64.b85decode(packed), MAX_OCTETS + 1)
    return Published(of, json.loads(text))


def _loaded(kind: Kind, record: Record) -> Version:
    body = record.body
    back_to = body.get("back_to")
    return Version(
        kind=kind,
        number=int(body["number"]),
        author=str(body["author"]),
        reason=str(body["reason"]),
        at=float(body["at"]),
        digest=str(body["digest"]),
        size=int(body["size"]),
        text=str(body["text"]),
        parts=int(body["parts"]),
        back_to=None if back_to is None else int(back_to),
    )


def _canonical(document: Document) -> tuple[str, str]:
    """Return the text to keep, and a digest that does not know the order of keys."""
    try:
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        ordered = json.dumps(document, separators=(",", ":"), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError("the document is no JSON", [str(error)[:200]]) from error
    if len(text) > MAX_OCTETS:
        words = f"the document has {len(text):,} octets; at most {MAX_OCTETS:,} are kept"
        raise DocumentError(words, [words])
    return text, sha256(ordered.encode()).hexdigest()


def _check_words(author: str, reason: str) -> None:
    for name, text, most in (("author", author, MAX_AUTHOR), ("reason", reason, MAX_REASON)):
        if not text.strip() or len(text) > most:
            words = f"{name}: 1 to {most} characters"
            raise DocumentError(words, [words])


def _check_expected(kind: Kind, last: Version | None, expected: int | None) -> None:
    number = last.number if last else 0
    if expected is not None and expected != number:
        raise RevisionError(f"version {number} of {kind} is published now, not {expected}")


def _place(kind: Kind, number: int) -> Place:
    return Place(kind, f"{_VERSION}{_LAST - number:09d}")


def _text_places(kind: Kind, name: str, parts: int) -> Sequence[Place]:
    return [Place(kind, f"{_TEXT}{name}#{part:03d}") for part in range(parts)]


def _generation(kind: Kind) -> Place:
    return Place("generation", kind)
