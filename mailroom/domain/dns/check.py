"""What is published held against what is expected: a state and one sentence for each record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mailroom.domain.dns import dmarc
from mailroom.domain.dns.answers import (
    UNASKED,
    Answers,
    DnsAnswer,
    Kind,
    Lookup,
    Question,
    a,
    cname,
    mx,
    txt,
)
from mailroom.domain.dns.dkim_record import compare_dkim
from mailroom.domain.dns.names import same_name
from mailroom.domain.dns.records import (
    PlatformNames,
    Purpose,
    Record,
    SendingDomain,
    expected_records,
)
from mailroom.domain.dns.spf import SpfAnswer, SpfResult, spf_records
from mailroom.domain.dns.state import Check, Report, State

MAX_SHOWN = 10  # values of an answer that are shown
MAX_TEXT = 1024  # characters of each


@dataclass(frozen=True, slots=True)
class _Verdict:
    state: State
    reason: str
    found: tuple[str, ...] = ()


def judge(
    domain: SendingDomain, platform: PlatformNames, answers: Answers, spf: SpfAnswer
) -> Report:
    """Hold the answers of the DNS against what is expected of `domain`."""
    checks = []
    exchanges = []
    for record in expected_records(domain, platform):
        if record.purpose is Purpose.MX:
            exchanges.append(record)
            continue
        verdict = _verdict(record, domain, platform, answers, spf)
        checks.append(_check(record, verdict))
    if exchanges:
        checks.append(_check(exchanges[0], _judge_mx(exchanges, answers)))
    return Report(tuple(checks))


def judge_alias(record: Record, answers: Answers) -> Check:
    """Judge one CNAME: that of a tracking domain, for instance."""
    return _check(record, _judge_alias(record, answers))


def _verdict(
    record: Record,
    domain: SendingDomain,
    platform: PlatformNames,
    answers: Answers,
    spf: SpfAnswer,
) -> _Verdict:
    if record.kind is Kind.CNAME:
        return _judge_alias(record, answers)
    if record.purpose is Purpose.DMARC:
        return _judge_dmarc(domain, answers)
    answer = answers.get(txt(record.name), UNASKED)
    if answer.lookup is Lookup.FAILED:
        return _unknown(answer)
    if record.purpose is Purpose.OWNERSHIP:
        return _judge_ownership(record, answer)
    if record.purpose is Purpose.SPF:
        return _judge_spf(platform, answer, spf)
    return _judge_dkim(record, domain, answer)


def _judge_ownership(record: Record, answer: DnsAnswer) -> _Verdict:
    prefix = record.value.split(" ", 1)[0]
    seen = tuple(text for text in answer.values if text.strip().startswith(prefix))
    if any(text.split() == record.value.split() for text in answer.values):
        return _Verdict(State.OK, "The ownership record is published.", seen)
    if seen:
        return _Verdict(State.INVALID, f"The {prefix} record has another text.", seen)
    return _Verdict(State.MISSING, f"There is no TXT record that begins with {prefix}.")


def _judge_spf(platform: PlatformNames, answer: DnsAnswer, spf: SpfAnswer) -> _Verdict:
    records = spf_records(answer.values)
    if not records:
        return _Verdict(State.MISSING, "There is no SPF record.")
    if len(records) > 1:
        return _Verdict(State.INVALID, "There are several SPF records; only one may be.", records)
    if spf.result is SpfResult.TEMPERROR:
        return _Verdict(State.UNKNOWN, f"SPF could not be evaluated now: {spf.problem}.", records)
    if spf.result is SpfResult.PERMERROR:
        return _Verdict(State.INVALID, f"Receivers cannot use it: {spf.problem}.", records)
    if spf.result is SpfResult.PASS:
        return _Verdict(State.OK, "SPF allows the platform's addresses.", records)
    if not platform.sending_addresses and spf.reached:
        return _Verdict(State.OK, "The SPF record includes the platform's.", records)
    include = f"include:{platform.spf_include}"
    if spf.reached:
        reason = f"SPF reaches {include}, but some of the platform's addresses give {spf.result}."
    else:
        reason = f"SPF does not reach {include}, so the platform's addresses give {spf.result}."
    return _Verdict(State.INVALID, reason, records)


def _judge_dkim(record: Record, domain: SendingDomain, answer: DnsAnswer) -> _Verdict:
    key = next(each for each in domain.keys if each.selector == record.about)
    if not answer.values:
        return _Verdict(State.MISSING, f"There is no TXT record at {record.name}.")
    if len(answer.values) > 1:
        reason = f"There are {len(answer.values)} TXT records at {record.name}; only one may be."
        return _Verdict(State.INVALID, reason, answer.values)
    fault = compare_dkim(answer.values[0], key.kind, key.public)
    if fault is not None:
        return _Verdict(State.INVALID, fault.reason, answer.values)
    return _Verdict(State.OK, "The DKIM record has the key.", answer.values)


def _judge_alias(record: Record, answers: Answers) -> _Verdict:
    answer = answers.get(cname(record.name), UNASKED)
    if answer.lookup is Lookup.FAILED:
        return _unknown(answer)
    if any(same_name(value, record.value) for value in (*answer.values, *answer.aliases)):
        return _Verdict(State.OK, f"The CNAME leads to {record.value}.", answer.values)
    if answer.values:
        return _Verdict(State.INVALID, f"The CNAME does not lead to {record.value}.", answer.values)
    if answer.lookup is Lookup.ABSENT:
        return _Verdict(State.MISSING, f"There is no CNAME at {record.name}.")
    return _judge_stand_in(record, answers)


def _judge_stand_in(record: Record, answers: Answers) -> _Verdict:
    """Judge what was published in place of an alias: the same records at the name itself.

    Some DNS hosts resolve aliases themselves ("flattening"), and some people copy.
    """
    kind: Callable[[str], Question] = mx if record.purpose is Purpose.RETURN_PATH else a
    here, there = (answers.get(kind(name), UNASKED) for name in (record.name, record.value))
    for answer in (here, there):
        if answer.lookup is Lookup.FAILED:
            return _unknown(answer)
    ours = {_target(value) for value in there.values}
    found = {_target(value) for value in here.values}
    if found and found <= ours:
        return _Verdict(State.OK, f"It has the records of {record.value} itself.", here.values)
    if found:
        reason = f"It has records of its own, and not those of {record.value}."
        return _Verdict(State.INVALID, reason, here.values)
    return _Verdict(State.MISSING, f"There is no CNAME at {record.name}.")


def _judge_mx(records: Sequence[Record], answers: Answers) -> _Verdict:
    answer = answers.get(mx(records[0].name), UNASKED)
    if answer.lookup is Lookup.FAILED:
        return _unknown(answer)
    expected = {_target(record.value) for record in records}
    found = {_target(value) for value in answer.values}
    if expected <= found:
        return _Verdict(State.OK, "The MX records lead to the platform.", answer.values)
    if expected & found:
        lacking = ", ".join(sorted(expected - found))
        return _Verdict(State.INVALID, f"The MX records lack {lacking}.", answer.values)
    return _Verdict(State.MISSING, "No MX record leads to the platform.", answer.values)


def _judge_dmarc(domain: SendingDomain, answers: Answers) -> _Verdict:
    for name in dmarc.dmarc_names(domain.name):
        answer = answers.get(txt(name), UNASKED)
        if answer.lookup is Lookup.FAILED:
            return _unknown(answer)
        records = dmarc.dmarc_records(answer.values)
        if len(records) > 1:
            return _Verdict(State.INVALID, f"There are several DMARC records at {name}.", records)
        if records:
            at = name.removeprefix("_dmarc.")
            return _policy(dmarc.read_dmarc(records[0], at=at, domain=domain.name), records)
    return _Verdict(State.MISSING, "There is no DMARC record at the domain or above it.")


def _policy(policy: dmarc.DmarcPolicy | dmarc.DmarcFault, records: tuple[str, ...]) -> _Verdict:
    if isinstance(policy, dmarc.DmarcFault):
        return _Verdict(State.INVALID, policy.reason, records)
    whose = f"inherited from {policy.at}" if policy.inherited else "the domain's own"
    return _Verdict(State.OK, f"The DMARC policy is {policy.policy}, {whose}.", records)


def _target(value: str) -> str:
    """Return the host of an MX or the address of an A, for comparison."""
    return value.rpartition(" ")[2].rstrip(".").lower()


def _unknown(answer: DnsAnswer) -> _Verdict:
    return _Verdict(State.UNKNOWN, f"The DNS gave no usable answer: {answer.problem}.")


def _check(record: Record, verdict: _Verdict) -> Check:
    shown = tuple(text[:MAX_TEXT] for text in verdict.found[:MAX_SHOWN])
    return Check(
        key=record.key,
        purpose=record.purpose,
        name=record.name,
        need=record.need,
        state=verdict.state,
        reason=verdict.reason,
        found=shown,
    )
