"""Stored opens and clicks under the rules of today."""

from mailroom.domain.event import Event, EventType, ViewFacts
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.visit import RULES_VERSION
from mailroom.fakes.memory import MemoryLedger
from mailroom.usecases.rejudge import rejudge_delivery

KEY = DeliveryKey(ServerId("abcdefghij"), 7, 0)


def click(at, agent, verdict, url="https://a.test/"):
    view = ViewFacts("", agent, url, "192.0.2.0/24", verdict, rules=0)
    return Event(f"{KEY}/clicked/{at}", EventType.CLICKED, KEY, at, view=view)


def test_only_changed_verdicts_are_named_and_nothing_is_written():
    ledger = MemoryLedger()
    missed, right = click(1e9, "curl/8", "person"), click(2e9, "Browser", "person")
    for event in (missed, right):
        ledger.record(event)
    (found,) = rejudge_delivery(KEY, ledger)
    assert found.before == missed
    assert (found.after.view.verdict, found.after.view.rules) == ("link_scanner", RULES_VERSION)
    assert ledger.history(KEY) == [missed, right]


def test_a_burst_is_seen_only_afterwards():
    ledger = MemoryLedger()
    for step in range(3):
        ledger.record(click(1e9 + step / 4, "Browser", "person", f"https://a.test/{step}"))
    assert len(rejudge_delivery(KEY, ledger)) == 3


def test_a_delivery_without_history_has_nothing_to_judge():
    assert rejudge_delivery(KEY, MemoryLedger()) == []
