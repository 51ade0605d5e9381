"""What a domain should publish, beside how it stood when it was last looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mailroom.domain.dns.answers import Lookup, Question
from mailroom.domain.dns.check import MAX_TEXT
from mailroom.domain.dns.records import (
    PlatformNames,
    Purpose,
    Record,
    SendingDomain,
    as_published,
    expected_records,
    tracking_record,
)
from mailroom.domain.dns.render import route53_change_batch
from mailroom.domain.dns.state import Check, State
from mailroom.domain.dns.state_row import Watch
from mailroom.domain.dns.watch import Standing
from mailroom.domain.tenancy.kinds.domain import sending_domain
from mailroom.domain.tenancy.resource import Resource
from mailroom.usecases.domain_checks import DomainPorts, ask_dns


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record to publish, what was found of it, and the state that counts."""

    record: Record
    check: Check | None = None
    standing: Standing | None = None

    def as_row(self) -> dict[str, Any]:
        """Return it as people see it: the newest finding, and since when its state counts."""
        record, check, standing = self.record, self.check, self.standing
        return {
            "purpose": record.purpose,
            "type": str(record.kind),
            "name": record.name,
            "value": record.value,
            "ttl": record.ttl,
            "need": record.need,
            "state": check.state if check else State.UNKNOWN,
            "reason": check.reason if check else "It was not looked at yet.",
            "found": list(check.found) if check else [],
            "since": standing.since if standing else None,
        }


def wanted_records(
    domain: Resource, watch: Watch | None, platform: PlatformNames
) -> Sequence[Wanted]:
    """Return the records of a sending domain; SPF and DMARC build on what was last found."""
    known = _with_found(sending_domain(domain.fields), watch)
    return [_wanted(record, watch) for record in expected_records(known, platform)]


def wanted_alias(domain: Resource, watch: Watch | None, platform: PlatformNames) -> Wanted:
    """Return the record of a tracking domain."""
    return _wanted(tracking_record(domain.fields["name"], platform), watch)


def change_batch(domain: Resource, ports: DomainPorts) -> dict[str, Any]:
    """Return a Route 53 change batch that keeps what is published now.

    If that cannot be looked up the batch creates records and replaces none.
    """
    expected = sending_domain(domain.fields)
    answers = ask_dns(expected, ports)
    records = expected_records(as_published(expected, answers), ports.platform)
    places = {(each.name, each.kind) for each in records}
    found = {place: answers.get(Question(place[0].lower(), place[1])) for place in sorted(places)}
    published = {
        place: answer.values
        for place, answer in found.items()
        if answer is not None and answer.lookup is not Lookup.FAILED and not answer.aliases
    }
    return route53_change_batch(records, published if len(published) == len(found) else None)


def _wanted(record: Record, watch: Watch | None) -> Wanted:
    if watch is None:
        return Wanted(record)
    check = next((each for each in watch.checks if each.key == record.key), None)
    return Wanted(record, check, watch.standings.get(record.key))


def _with_found(domain: SendingDomain, watch: Watch | None) -> SendingDomain:
    return replace(domain, spf=_found(watch, Purpose.SPF), dmarc=_found(watch, Purpose.DMARC))


def _found(watch: Watch | None, purpose: Purpose) -> str:
    """Return the one text found for a purpose, "" if it was none, several, cut or no use."""
    checks = watch.checks if watch else ()
    check = next((each for each in checks if each.purpose is purpose), None)
    if check is None or len(check.found) != 1 or len(check.found[0]) >= MAX_TEXT:
        return ""
    if purpose is Purpose.DMARC and check.state is not State.OK:
        return ""
    return check.found[0]
