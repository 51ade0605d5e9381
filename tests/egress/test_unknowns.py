"""Replies that no rule knows are counted for all hosts together."""

from datetime import UTC, datetime

from egress.sender.unknowns import Unknowns
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Judgement
from mailroom.fakes.control import MemoryControl
from mailroom.usecases.unknown_replies import UnknownPorts, top
from tests.support.flaky_control import FlakyControl

NOW = 1_800_000_000.0
STRANGE = SmtpReply(450, "the moon is full, 192.0.2.7", Phase.RCPT)
DAY = datetime.fromtimestamp(NOW, UTC).date()


async def test_what_no_rule_knows_is_counted_and_nothing_else() -> None:
    control = MemoryControl()
    unknowns = Unknowns(control, now=lambda: NOW)
    for _ in range(3):
        unknowns.met(STRANGE, Judgement(), "gmail")
    unknowns.met(STRANGE, Judgement(rule="known"), "gmail")
    unknowns.met(SmtpReply(250, "2.0.0 ok", Phase.DOT), Judgement(), "gmail")
    await unknowns.flush()
    await unknowns.flush()
    (found,) = top(UnknownPorts(control), DAY)
    assert (found.count, found.key.provider, found.key.code) == (3, "gmail", 450)


async def test_a_table_that_does_not_answer_disturbs_nobody() -> None:
    unknowns = Unknowns(FlakyControl(MemoryControl(), before=lambda: True), now=lambda: NOW)
    unknowns.met(STRANGE, Judgement())
    await unknowns.flush()
