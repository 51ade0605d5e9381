"""Sends each domain that asked for it the TLS report of yesterday, once.

How far a day has come is in the row `tlsrpt-sent`/<day>, whose lease lets one tick work at a time.
A tick that dies between sending and writing that down sends some reports twice; they have the same
id, by which receivers know them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_counts import DomainCounts, load_counts, merged
from mailroom.domain.transport.tls_report import MEDIA, Submitter, build_report, report_mail
from mailroom.ports import Clock, Endpoint
from mailroom.ports.app_mail import AppMailError, LetterBox, RawLetter
from mailroom.ports.control import Control

SENT = "tlsrpt-sent"
AFTER_MIDNIGHT = 3_600.0  # seconds until every host has flushed what it counted of the day
LEASE = 300.0  # seconds a tick may take, with room to spare
WORK_SECONDS = 20.0  # of a tick that go into reports
PAUSE = 3_600.0  # seconds until what failed is tried again
ROUNDS = 4
_LIMIT = 20  # domains, or failed destinations, of one tick
_MAX_FAILED = 1_000
_KEEP = 7 * 86_400.0  # seconds
_PROCESSES = 1_000  # rows of one domain's day
_LAST = "\uffff"  # behind every process's name


@dataclass(frozen=True, slots=True)
class TlsReportPorts:
    """`letters` is None where the platform has no mail server: then only https is served."""

    control: Control
    letters: LetterBox | None
    endpoint: Endpoint
    clock: Clock
    submitter: Submitter


@dataclass(frozen=True, slots=True)
class _Progress:
    """A day: its domains up to the sort key `after` had their turn; then come the failed ones.

    `failed` are (domain, destination) that failed in this round, `left` those of the last round
    that wait for their next try at `next_at`.
    """

    after: str = ""
    walked: bool = False
    round: int = 1
    left: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    next_at: float = 0.0
    done: bool = False


@dataclass(slots=True)
class _Tick:
    """One tick's work on one day."""

    day: str
    ports: TlsReportPorts
    until: float
    counts: Counter[str] = field(default_factory=Counter)


def send_reports(now: float, ports: TlsReportPorts) -> Counter[str]:
    """Send the reports whose turn it is and return the counts of what was done. A task of ticks."""
    moment = datetime.fromtimestamp(now - AFTER_MIDNIGHT, UTC)
    day = (moment.date() - timedelta(days=1)).isoformat()
    place = Place(SENT, day)
    row = ports.control.read(place)
    progress = _load(row.body) if row else _Progress()
    if progress.done or progress.next_at > now:
        return Counter()
    expires_at = now + _KEEP
    leased = Record(place, _dump(replace(progress, next_at=now + LEASE)), expires_at=expires_at)
    held = ports.control.put(leased, expected=row.revision if row else 0)
    if held is None:  # another tick is faster
        return Counter()
    tick = _Tick(day, ports, ports.clock.now() + WORK_SECONDS)
    after = _worked(progress, tick, now)
    ports.control.put(Record(place, _dump(after), expires_at=expires_at), expected=held.revision)
    return tick.counts


def _worked(progress: _Progress, tick: _Tick, now: float) -> _Progress:
    for _ in range(_LIMIT):
        if progress.walked and not progress.left:
            break
        progress = _retried(progress, tick) if progress.walked else _walked(progress, tick)
        if tick.ports.clock.now() >= tick.until:
            break
    if not progress.walked or progress.left:
        return replace(progress, next_at=0.0)
    if not progress.failed or progress.round >= ROUNDS:
        return replace(progress, done=True, next_at=0.0)
    return replace(
        progress,
        round=progress.round + 1,
        left=progress.failed,
        failed=(),
        next_at=now + PAUSE,
    )


def _walked(progress: _Progress, tick: _Tick) -> _Progress:
    """Send the reports of the next domain."""
    page = tick.ports.control.page(f"tlsrpt#{tick.day}", limit=1, after=progress.after)
    if not page.records:
        return replace(progress, walked=True)
    domain = page.records[0].place.sort.partition("#")[0]
    counts = _counts(domain, tick)
    failed = progress.failed
    for destination in counts.destinations if counts else ():
        if counts is not None and not _sent(counts, destination, tick):
            failed += ((domain, destination),)
    return replace(progress, after=f"{domain}#{_LAST}", failed=failed[:_MAX_FAILED])


def _retried(progress: _Progress, tick: _Tick) -> _Progress:
    """Try the next destination that failed before."""
    (domain, destination), *left = progress.left
    counts = _counts(domain, tick)
    failed = progress.failed
    if counts is not None and not _sent(counts, destination, tick):
        failed += ((domain, destination),)
    return replace(progress, left=tuple(left), failed=failed)


def _counts(domain: str, tick: _Tick) -> DomainCounts | None:
    rows = tick.ports.control.page(f"tlsrpt#{tick.day}", f"{domain}#", limit=_PROCESSES).records
    parts: list[DomainCounts] = []
    for row in rows:
        try:
            parts.append(load_counts(row.body))
        except (ValueError, KeyError, TypeError, IndexError):
            tick.counts["tls_counts_unreadable"] += 1
    return merged(parts) if parts else None


def _sent(counts: DomainCounts, destination: str, tick: _Tick) -> bool:
    """Send a report; False if it is worth another try."""
    ports = tick.ports
    report = build_report(counts, tick.day, ports.submitter)
    scheme, _, rest = destination.partition(":")
    if scheme != "mailto":
        answer = ports.endpoint.post(destination, report.content, {"Content-Type": MEDIA})
        sent = answer.ok
    elif ports.letters is None:
        tick.counts["tls_reports_without_mail_server"] += 1
        return True
    else:
        try:
            mail = report_mail(report, rest, ports.submitter, ports.clock.now())
        except ValueError:  # a sender or recipient that no mail can have
            tick.counts["tls_reports_unfit"] += 1
            return True
        sent = _posted(RawLetter(rest, mail), ports.letters)
    tick.counts["tls_reports_sent" if sent else "tls_reports_failed"] += 1
    return sent


def _posted(letter: RawLetter, letters: LetterBox) -> bool:
    try:
        letters.post(letter)
    except AppMailError:
        return False
    return True


def _dump(progress: _Progress) -> dict[str, Any]:
    return {
        "after": progress.after,
        "walked": progress.walked,
        "round": progress.round,
        "left": [list(each) for each in progress.left],
        "failed": [list(each) for each in progress.failed],
        "next_at": progress.next_at,
        "done": progress.done,
    }


def _load(body: Mapping[str, Any]) -> _Progress:
    return _Progress(
        after=str(body.get("after", "")),
        walked=bool(body.get("walked", False)),
        round=int(body.get("round", 1)),
        left=_pairs(body.get("left", ())),
        failed=_pairs(body.get("failed", ())),
        next_at=float(body.get("next_at", 0.0)),
        done=bool(body.get("done", False)),
    )


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    return tuple((str(domain), str(destination)) for domain, destination in value)
