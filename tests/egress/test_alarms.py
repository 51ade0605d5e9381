"""Replies that somebody has to act on are told, and not every second."""

import pytest

from egress.core.engine.work import Connection, LineKey
from egress.sender.alarms import QUIET_SECONDS, Alarms
from mailroom.domain.reply import Phase, SmtpReply
from mailroom.domain.sending.judgement import Action, Judgement, Scope, Verb
from mailroom.domain.sending.path import PathKey, Site

BANNED = SmtpReply(550, "5.7.606 Access denied, banned sending IP", Phase.MAIL)
ALERT = Judgement(Scope.ADDRESS, actions=(Action(Verb.ALERT),), rule="microsoft-banned")


def connection(address: str = "a", provider: str = "microsoft") -> Connection:
    site = Site(provider, provider)
    return Connection(1, PathKey(address, site.key), LineKey("pool", site.key, "mx"), site)


def test_an_alarm_is_told_once_an_hour_for_an_address_and_a_provider(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [1_000.0]
    alarms = Alarms(clock=lambda: now[0])
    alarms.met(connection(), BANNED, Judgement(rule="harmless"))
    assert not caplog.records
    for _ in range(3):
        alarms.met(connection(), BANNED, ALERT)
    alarms.met(connection(address="b"), BANNED, ALERT)
    assert len(caplog.records) == 2
    now[0] += QUIET_SECONDS + 1
    alarms.met(connection(), BANNED, ALERT)
    assert len(caplog.records) == 3
    told = vars(caplog.records[0])
    assert (told["function"], told["rule"], told["address"]) == ("alarm", "microsoft-banned", "a")
    assert "banned sending IP" in told["reply"]
