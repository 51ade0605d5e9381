"""What has to be asked of the DNS before a domain can be judged."""

from collections.abc import Iterator

from mailroom.domain.dns import dmarc
from mailroom.domain.dns.answers import (
    UNASKED,
    Answers,
    Kind,
    Lookup,
    Question,
    a,
    cname,
    mx,
    txt,
)
from mailroom.domain.dns.records import (
    PlatformNames,
    Purpose,
    Record,
    SendingDomain,
    expected_records,
)


def missing_questions(
    domain: SendingDomain, platform: PlatformNames, answers: Answers
) -> tuple[Question, ...]:
    """Return what still has to be asked before the domain can be judged.

    Called again with the new answers until it returns nothing: some questions only arise from
    answers (what stands in for an alias, a parent's DMARC policy).
    """
    wanted = dict.fromkeys(_questions(domain, platform, answers))
    return tuple(question for question in wanted if question not in answers)


def alias_questions(record: Record, answers: Answers) -> Iterator[Question]:
    """Yield what to ask about a CNAME, and about what may stand in its place."""
    yield cname(record.name)
    if answers.get(cname(record.name), UNASKED).lookup is Lookup.EMPTY:
        kind = mx if record.purpose is Purpose.RETURN_PATH else a
        yield from (kind(record.name), kind(record.value))


def _questions(
    domain: SendingDomain, platform: PlatformNames, answers: Answers
) -> Iterator[Question]:
    for record in expected_records(domain, platform):
        if record.kind is Kind.CNAME:
            yield from alias_questions(record, answers)
        elif record.purpose is Purpose.DMARC:
            yield from _dmarc_questions(domain, answers)
        else:
            yield Question(record.name.lower(), record.kind)


def _dmarc_questions(domain: SendingDomain, answers: Answers) -> Iterator[Question]:
    for name in dmarc.dmarc_names(domain.name):
        yield txt(name)
        known = answers.get(txt(name))
        if known is None or known.lookup is Lookup.FAILED or dmarc.dmarc_records(known.values):
            return
