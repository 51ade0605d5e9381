"""Try reply rules: on one reply, on recorded ones, and see what nobody knew."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from mail_api.v2.models.base import Page
from mail_api.v2.models.egress_documents import (
    DryRun,
    DryRunView,
    JudgementView,
    ReplyTest,
    UnknownListing,
    UnknownView,
)
from mail_api.v2.operation import Call, Operation, invalid
from mail_api.v2.resources.egress_calls import control_of, now_of, sliced
from mail_api.v2.resources.egress_documents import MAX_BODY, in_use
from mailroom.domain.message import ServerId
from mailroom.domain.replies.action_json import dump_action, dump_trigger
from mailroom.domain.replies.book import RuleBook
from mailroom.domain.replies.dry_run import Change, RecordedReply, difference, would_have_fired
from mailroom.domain.replies.rule_json import load_book
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.judgement import Judgement
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.record import Place
from mailroom.usecases.published import Kind
from mailroom.usecases.recorded_replies import Recorded, RecordedPorts, recorded_replies
from mailroom.usecases.registrar import missing
from mailroom.usecases.unknown_replies import UnknownPorts, top

_EXAMPLES = 50
_MOST_UNKNOWN = 1_000


def judge(call: Call) -> Any:
    """Judge a reply by the rules in use, or by those of a document that is sent along."""
    asked = call.body
    book = _book(asked.document, call)
    reply = _reply(asked.reply, asked.phase, "reply")
    return _judged(book, reply, asked.provider)


def dry_run(call: Call) -> Any:
    """See what rules would have said of recorded replies, and where the rules in use differ."""
    asked = call.body
    book, before = _book(asked.document, call), _book(None, call)
    recorded = _recorded(call)
    fired = would_have_fired(book, recorded.replies)
    differs = difference(before, book, recorded.replies)
    ranked = sorted(fired.items(), key=lambda item: (-item[1], item[0]))
    return {
        "replies": differs.replies,
        "changed": differs.changed,
        "messages": recorded.messages,
        "is_complete": recorded.is_complete,
        "fired": [{"rule": rule, "times": times} for rule, times in ranked],
        "examples": [_change(each, before, book) for each in differs.examples[:_EXAMPLES]],
    }


def unknown(call: Call) -> Any:
    """List replies that no rule knew, the most frequent first: what rules are missing."""
    day = _day(call.query.day) if call.query.day else _today(call)
    found = top(UnknownPorts(control_of(call)), day, _MOST_UNKNOWN)
    rows = [{"count": each.count, **each.key._asdict()} for each in found]
    return sliced(call, rows)


def _book(document: Any, call: Call) -> RuleBook:
    given = document if document is not None else in_use(Kind.RULES, call)[1]
    try:
        return load_book(given)
    except ValueError as error:
        raise invalid("document", str(error)[:300]) from error


def _reply(text: str, phase: str, path: str) -> SmtpReply:
    code, _, rest = text.strip().partition(" ")
    digits, _, more = code.partition("-")  # the first line of several: 421-4.7.28
    if not (digits.isascii() and digits.isdigit() and len(digits) == 3):
        raise invalid(path, "a reply begins with its code: 421 4.7.28 ...")
    return SmtpReply(int(digits), f"{more} {rest}".strip(), phase)


def _recorded(call: Call) -> Recorded:
    asked = call.body
    given = [
        RecordedReply(_reply(each.reply, each.phase, f"replies.{place}"), each.provider, each.times)
        for place, each in enumerate(asked.replies)
    ]
    if not asked.server:
        return Recorded(given, 0, is_complete=True)
    if call.desk.registry.read(Place(f"server#{asked.server}")) is None:
        raise missing(asked.server, call.desk.registrar.environment)
    day = _day(asked.day) if asked.day else _today(call)
    begins = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    clock = call.desk.registrar.clock
    ports = RecordedPorts(call.desk.area("search"), call.desk.api().ports.ledger, clock)
    found = recorded_replies(ServerId(asked.server), begins, ports)
    return Recorded([*given, *found.replies], found.messages, found.is_complete)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid("day", "there is no such day") from None


def _today(call: Call) -> date:
    return datetime.fromtimestamp(now_of(call), UTC).date()


def _change(change: Change, before: RuleBook, after: RuleBook) -> dict[str, Any]:
    recorded = change.recorded
    return {
        "reply": f"{recorded.reply.code} {recorded.reply.text}",
        "phase": recorded.reply.phase,
        "provider": recorded.provider,
        "times": recorded.times,
        "before": _judged(before, recorded.reply, recorded.provider),
        "after": _judged(after, recorded.reply, recorded.provider),
    }


def _judged(book: RuleBook, reply: SmtpReply, provider: str) -> dict[str, Any]:
    judgement = book.judge(reply, provider)
    matching = (rule.id for rule in book.matching(reply, provider))
    return _view(judgement, (name for name in matching if name != judgement.rule))


def _view(judgement: Judgement, also: Iterable[str]) -> dict[str, Any]:
    return {
        "rule": judgement.rule,
        "also": list(also),
        "scope": str(judgement.scope),
        "category": str(judgement.category),
        "permanent": judgement.permanent,
        "suppress": judgement.suppress,
        "retry_after": judgement.retry_after,
        "actions": [dump_action(action) for action in judgement.actions],
        "trigger": dump_trigger(judgement.trigger),
    }


_DOES = Scope.PLATFORM

OPERATIONS = (
    Operation("egress.rules.test", "POST", "/egress/rules/test", "Judge a reply", judge, _DOES,
              answer=JudgementView, body=ReplyTest, max_body=MAX_BODY),
    Operation("egress.rules.dry_run", "POST", "/egress/rules/dry-run",
              "Try rules on recorded replies", dry_run, _DOES, answer=DryRunView, body=DryRun,
              max_body=MAX_BODY),
    Operation("egress.rules.unknown", "GET", "/egress/rules/unknown",
              "List replies that no rule knew", unknown, _DOES, answer=Page[UnknownView],
              query=UnknownListing),
)  # fmt: skip
