"""Attempts that an order wants to see are in the host's log."""

import logging
from typing import Any

import pytest

from egress.core.engine.work import Connection, Grant, LineKey
from egress.order_log import AttemptLog
from egress.sender.exchange import Exchanged
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.reply import SmtpReply
from mailroom.domain.sending.job import JobFacts, LaneClass
from mailroom.domain.sending.order import Order, OrderVerb, Selector
from mailroom.domain.sending.order_book import OrderBook
from mailroom.domain.sending.path import PathKey, Site

NOW = 1_800_000_000.0
JOB = JobFacts(
    DeliveryKey(ServerId("abcdefghij"), 7, 0), 1, "ann@gmail.com", "abcdefghij", "org1",
    LaneClass.BULK, "a.test", "me@a.test", 9, ("pool_a",), NOW, NOW + 9,
)  # fmt: skip
GRANT = Grant(
    Connection(3, PathKey("ip_a", "gmail"), LineKey("pool_a", "gmail", ""), Site("gmail", "gmail")),
    JOB,
)
SEEN = Exchanged(SmtpReply(421, "4.7.28 slow", "MAIL"), "mx.gmail.test", tls=True)


@pytest.mark.parametrize(
    ("verb", "selector", "is_logged"),
    [
        ("trace", {"tenant": "abcdefghij"}, True),
        ("trace", {"site": "gmail"}, True),
        ("trace", {"address": "ip_a", "campaign": "x"}, False),
        ("pause", {"tenant": "abcdefghij"}, False),
    ],
)
def test_an_attempt_is_logged_if_an_order_says_so(
    caplog: pytest.LogCaptureFixture, verb: str, selector: dict[str, str], is_logged: bool
) -> None:
    order = Order("ord_1", OrderVerb(verb), Selector(**selector), "why", "Ann", NOW, NOW + 60)
    with caplog.at_level(logging.INFO):
        AttemptLog(lambda: OrderBook([order]), lambda: NOW).concluded(GRANT, SEEN)
    assert bool(caplog.records) is is_logged
    if is_logged:
        told: Any = caplog.records[0]
        assert (told.delivery, told.path, told.reply) == (
            "abcdefghij.7.0", "ip_a>gmail", "4.7.28 slow"
        )  # fmt: skip
        assert told.orders == ("ord_1",)
