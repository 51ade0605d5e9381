"""One person's data in one organisation: what there is, a copy of it, and its erasure.

A step looks at the deliveries of one server, newest first, and may be repeated. An erased delivery
is found no more, so its row is the last that changes.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mailroom.domain import erasure
from mailroom.domain.address import MalformedAddressError
from mailroom.domain.event import dump_event
from mailroom.domain.job import Job, StepResult
from mailroom.domain.job_file import result_key
from mailroom.domain.message import DeliveryKey, ServerId, Submission
from mailroom.domain.search_keys import normal_address as searched
from mailroom.domain.stored_message import Place, StoredMessage
from mailroom.domain.suppression import (
    Suppression,
    normal_address,
    organisation_scope,
    unicode_address,
)
from mailroom.ports import Ledger
from mailroom.ports.erasure import Erasure
from mailroom.ports.files import Files
from mailroom.ports.registry import Registry
from mailroom.ports.search import By, Search, Span, Where
from mailroom.ports.suppressions import Suppressions
from mailroom.usecases.holdings import scopes_of_server, servers_of

EXPORT = "export_recipient"
ERASE = "erase_recipient"
MAX_NAMED = 100  # kept messages that a result names; all are counted
STEP_MESSAGES = 100  # looked at in one step
MAX_SUMMED = 100  # servers and, of each, messages that a summary looks at
_FOREVER = 1e11
_LOOKS = 5  # in one file of an export


@dataclass(frozen=True, slots=True)
class RecipientPorts:
    """Where a person's data lies. `hashed` gives an address's keyed hash (`recipient_hmac`)."""

    registry: Registry
    search: Search
    ledger: Ledger
    suppressions: Suppressions
    erasure: Erasure
    files: Files
    hashed: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ServerSummary:
    """What one server has of a person: up to MAX_SUMMED messages counted, and the newest's time."""

    server: ServerId
    messages: int
    has_more: bool
    last_at: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What an organisation has of a person. `is_complete` False if it has too many servers."""

    address: str
    suppressions: Sequence[Suppression]
    servers: Sequence[ServerSummary]
    is_complete: bool


def part_name(number: int) -> str:
    """Return the name of a file of an export, counted from 1."""
    return f"recipient-{number:04d}.jsonl"


def summary(organisation: str, address: str, now: float, ports: RecipientPorts) -> Summary:
    """Say what an organisation has of `address`. Raises MalformedAddressError."""
    normal = normal_address(address)
    servers = servers_of(ports.registry, organisation)
    found = [_summed(server, address, now, ports) for server in servers[:MAX_SUMMED]]
    return Summary(
        normal,
        list(_suppressions(_all_scopes(organisation, servers[:MAX_SUMMED], ports), normal, ports)),
        [each for each in found if each.messages],
        is_complete=len(servers) <= MAX_SUMMED,
    )


def export_step(job: Job, now: float, ports: RecipientPorts) -> StepResult:
    """Write the next file of all that is stored about an address, one JSON object a line.

    Parameters: `organisation`, `address`. Result: `parts`, `messages`, `suppressions`.
    """
    address = job.parameters["address"]
    looked = _look(job, ports)
    for _ in range(_LOOKS - 1):
        if looked.finished:
            break
        more = _look(replace(job, checkpoint=looked.checkpoint), ports)
        looked = replace(
            more,
            messages=[*looked.messages, *more.messages],
            left=[*looked.left, *more.left],
        )
    known = list(_suppressions(_scopes(job, looked, ports), address, ports))
    lines = [_line("suppression", asdict(each)) for each in known]
    lines += [_message_line(each, ports) for each in looked.messages]
    number = job.checkpoint.get("part", 0)
    if lines or looked.finished:
        number += 1
        key = result_key(job.owner, job.id, part_name(number))
        ports.files.put(key, "".join(lines).encode(), "application/x-ndjson")
    return StepResult(
        checkpoint={**looked.checkpoint, "part": number},
        done=len(looked.messages),
        finished=looked.finished,
        total=job.progress.done + len(looked.messages) if looked.finished else None,
        result={
            "parts": number,
            "messages": job.progress.done + len(looked.messages),
            "suppressions": job.result.get("suppressions", 0) + len(known),
        },
    )


def erase_step(job: Job, now: float, ports: RecipientPorts) -> StepResult:
    """Erase an address from the next messages, and after a server's last from its suppressions.

    Parameters: `organisation`, `address`. Result: `erased`, `kept` (how many messages keep
    something) and `kept_messages`, up to MAX_NAMED of them with the reason and until when.
    """
    address = job.parameters["address"]
    mark = erasure.mark_of(ports.hashed(address))
    looked = _look(job, ports)
    kept = [each for message in looked.messages for each in _erase(message, mark, now, ports)]
    for scope in _scopes(job, looked, ports):
        ports.suppressions.erase(scope, address)
    named = [*job.result.get("kept_messages", ()), *kept][:MAX_NAMED]
    whole = sum(each["reason"] == _ON_ITS_WAY for each in kept)
    return StepResult(
        checkpoint=looked.checkpoint,
        done=len(looked.messages) - whole,
        failed=whole,
        finished=looked.finished,
        total=job.progress.done + job.progress.failed + len(looked.messages)
        if looked.finished
        else None,
        result={
            "erased": job.progress.done + len(looked.messages) - whole,
            "kept": job.result.get("kept", 0) + len(kept),
            "kept_messages": named,
        },
        forget=frozenset({"address"} if looked.finished else ()),
    )


_ON_ITS_WAY = "on_its_way"
_OTHERS = "body_has_other_recipients"


@dataclass(frozen=True, slots=True)
class _Looked:
    """Messages, where to go on, and the servers of which these were the last."""

    messages: Sequence[StoredMessage]
    checkpoint: Mapping[str, Any]
    finished: bool = False
    left: Sequence[ServerId] = ()


def _look(job: Job, ports: RecipientPorts) -> _Looked:
    """Return the next messages to a job's address, and where the step after this one begins.

    Servers are taken in the order of their ids, so that one made meanwhile is not passed over
    twice; an address is looked for in each of its spellings.
    """
    address, at = job.parameters["address"], job.checkpoint.get("server", "")
    servers = sorted(servers_of(ports.registry, job.parameters["organisation"]))
    left = [server for server in servers if server >= at]
    if not left:
        return _Looked((), {"server": "~"}, finished=True)
    spellings = _spellings(address)
    spelling = job.checkpoint.get("spelling", 0) if left[0] == at else 0
    place = job.checkpoint.get("place") if left[0] == at else None
    where = Where(left[0], By.RECIPIENT, spellings[spelling])
    part = ports.search.newest(
        where,
        Span(0.0, _FOREVER),
        after=Place(*place) if place else None,
        limit=STEP_MESSAGES,
    )
    mine = [each for each in part.messages if _is(each.delivery.recipient, address)]
    if part.place is not None:
        place = [part.place.at_ms, part.place.number, part.place.index]
        return _Looked(mine, {"server": left[0], "spelling": spelling, "place": place})
    if spelling + 1 < len(spellings):
        return _Looked(mine, {"server": left[0], "spelling": spelling + 1})
    return _Looked(mine, {"server": f"{left[0]}~"}, finished=len(left) == 1, left=left[:1])


def _scopes(job: Job, looked: _Looked, ports: RecipientPorts) -> Sequence[str]:
    """Return the scopes that are to be looked at after a look: the organisation's comes first."""
    found = [] if job.checkpoint else [organisation_scope(job.parameters["organisation"])]
    for server in looked.left:
        found += scopes_of_server(ports.registry, server)
    return found


def _all_scopes(
    organisation: str, servers: Sequence[ServerId], ports: RecipientPorts
) -> Sequence[str]:
    own = (scope for server in servers for scope in scopes_of_server(ports.registry, server))
    return [organisation_scope(organisation), *own]


def _erase(
    message: StoredMessage, mark: str, now: float, ports: RecipientPorts
) -> Iterator[Mapping[str, Any]]:
    """Erase the recipient of one message; yield what stays, why and until when."""
    submission, delivery = message.submission, message.delivery
    name = {"server": delivery.key.server, "id": delivery.key.postal_id}
    if not erasure.may_be_erased(delivery):
        yield {**name, "reason": _ON_ITS_WAY, "until": submission.expires_at}
        return
    whole = ports.ledger.submission(delivery.key.server, delivery.key.number) or submission
    if submission.recipients == 1:
        if whole.body.key:
            ports.files.delete(whole.body.key)
        ports.erasure.rewrite_submission(whole, erasure.emptied(whole))
    else:
        other = erasure.without_original(whole, delivery.key.index)
        if other.dsn != whole.dsn:
            ports.erasure.rewrite_submission(whole, other)
        until = _body_until(whole)
        if until > now:
            yield {**name, "reason": _OTHERS, "until": until}
    ports.erasure.rewrite_history(delivery.key, erasure.scrubbed)
    if not ports.erasure.rewrite_recipient(delivery, mark):
        yield {**name, "reason": _ON_ITS_WAY, "until": submission.expires_at}


def _body_until(submission: Submission) -> float:
    """Return when the content goes by itself, at the latest."""
    if submission.raw_until is not None:
        return submission.raw_until
    if submission.body.key:
        days = submission.body.key.partition("/")[0]
        return submission.accepted_at + float(days) * 86_400
    if submission.body.inline is None:
        return 0.0
    return submission.expires_at + submission.retention_days * 86_400


def _summed(server: ServerId, address: str, now: float, ports: RecipientPorts) -> ServerSummary:
    messages: dict[DeliveryKey, float] = {}
    more = False
    for spelling in _spellings(address):
        where = Where(server, By.RECIPIENT, spelling)
        part = ports.search.newest(where, Span(0.0, now + 86_400), limit=MAX_SUMMED)
        more = more or part.place is not None
        messages |= {
            each.delivery.key: each.submission.accepted_at
            for each in part.messages
            if _is(each.delivery.recipient, address)
        }
    last = max(messages.values(), default=None)
    return ServerSummary(server, len(messages), has_more=more, last_at=last)


def _suppressions(
    scopes: Sequence[str], address: str, ports: RecipientPorts
) -> Iterator[Suppression]:
    for scope in scopes:
        found = ports.suppressions.get(scope, address)
        if found is not None:
            yield found


def _message_line(message: StoredMessage, ports: RecipientPorts) -> str:
    submission, delivery = message.submission, message.delivery
    return _line(
        "message",
        {
            "server": delivery.key.server,
            "id": delivery.key.postal_id,
            "recipient": delivery.recipient,
            "accepted_at": submission.accepted_at,
            "state": str(delivery.state),
            "from": submission.from_address,
            "subject": submission.subject,
            "message_id": submission.message_id,
            "tag": submission.tag,
            "tags": list(submission.tags),
            "metadata": dict(submission.metadata),
            "merge": dict(delivery.merge),
            "stream": submission.stream,
            "size": submission.size,
            "events": [dump_event(event) for event in ports.ledger.history(delivery.key)],
        },
    )


def _line(kind: str, said: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, **said}, ensure_ascii=False) + "\n"


def _spellings(address: str) -> Sequence[str]:
    """Return how the index may have an address: as it was given, and in its normal form."""
    normal = normal_address(address)
    return list(dict.fromkeys((searched(address), normal, unicode_address(normal))))


def _is(recipient: str, address: str) -> bool:
    try:
        return normal_address(recipient) == normal_address(address)
    except MalformedAddressError:
        return False
