"""Accounting records in PowerMTA's layout, over the management API."""

import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from mailroom.domain.accounting import FIELDS, RecordType, record_type
from mailroom.domain.event import AttemptFacts, Event, EventType, accepted
from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from tests.support.management import Management
from tests.support.many_messages import made_delivery, made_submission

DAY = 1_759_968_000.0  # 2025-10-09


@pytest.fixture
def platform() -> Management:
    return Management()


def mail(platform: Management, server: str, number: int, *facts: tuple[EventType, Any]) -> None:
    ledger = platform.memory.ledger
    at = DAY + number
    made = made_submission(5_000_000 + number, at, server=ServerId(server), tag="news", size=9_000)
    row = made_delivery(made, 0, f"ann{number}@gmail.com", state=State.SENT)
    ledger.reserve([row])
    ledger.commit(made)
    ledger.record(accepted(row.key, at))
    for place, (type_, seen) in enumerate(facts, 1):
        ledger.record(Event(f"{row.key}/{place}/{type_}", type_, row.key, at + 60 * place, seen))


def tried(reply: str, code: int, phase: str = ".", **more: Any) -> AttemptFacts:
    seen = AttemptFacts(1, "What was said.", reply, code, phase, "mx1.gmail.test [192.0.2.9]")
    return replace(seen, **more)


def export(platform: Management, query: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    told = platform.ask("GET", "/egress/accounting", query=query)
    assert told.status == 200, told
    assert told.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(told.text))), told.headers


def test_records_have_powermtas_layout(platform: Management) -> None:
    server = platform.server(platform.organisation())
    pool = platform.made("/pools", {"name": "Shared"})["id"]
    body = {"ipv4": "192.0.2.1", "hostname": "mx.mail.test"}
    address = platform.made(f"/pools/{pool}/addresses", body)["id"]
    deferred = tried("421 4.7.28 slow\ndown", 421, "MAIL", category="rate-limited")
    sent = tried("250 2.0.0 taken", 250, address=address)
    mail(platform, server, 1, (EventType.DEFERRED, deferred), (EventType.SENT, sent))
    rows, headers = export(platform, f"server={server}&day=2025-10-09&types=d,b,t")
    assert "x-next-cursor" not in headers
    assert tuple(rows[0]) == FIELDS
    late, done = rows
    assert late["dsnDiag"] == "smtp;421 4.7.28 slow down"
    assert (late["type"], late["dsnAction"], late["dsnStatus"], late["bounceCat"]) == (
        "t", "delayed", "4.7.28", "rate-limited"
    )  # fmt: skip
    assert done == {
        **dict.fromkeys(FIELDS, ""),
        "type": "d", "timeLogged": "2025-10-09 00:02:01+0000",
        "timeQueued": "2025-10-09 00:00:01+0000", "orig": done["orig"],
        "rcpt": "ann1@gmail.com", "dsnAction": "relayed", "dsnStatus": "2.0.0",
        "dsnDiag": "smtp;250 2.0.0 taken", "dsnMta": "mx1.gmail.test (192.0.2.9)",
        "srcType": done["srcType"], "dlvType": "smtp", "dlvSourceIp": "192.0.2.1",
        "dlvDestinationIp": "192.0.2.9", "dlvSize": "9000", "vmta": address, "jobId": "news",
        "envId": done["envId"], "queue": f"gmail.com/{address}", "vmtaPool": pool,
    }  # fmt: skip
    assert done["envId"].startswith(f"{server}.")
    assert "@" in done["orig"]


def test_a_day_comes_in_pages_and_names_its_columns_once(platform: Management) -> None:
    server = platform.server(platform.organisation())
    for number in range(5):
        mail(platform, server, number, (EventType.SENT, tried("250 ok", 250)))
    mail(platform, server, 86_401, (EventType.SENT, tried("250 ok", 250)))  # another day's
    query = f"server={server}&day=2025-10-09&limit=2"
    told = platform.ask("GET", "/egress/accounting", query=query)
    text, pages = told.text, 1
    while cursor := told.headers.get("x-next-cursor"):
        told = platform.ask("GET", "/egress/accounting", query=f"{query}&cursor={cursor}")
        text, pages = text + told.text, pages + 1
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["rcpt"] for row in rows] == [f"ann{n}@gmail.com" for n in (4, 3, 2, 1, 0)]
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("day=2025-10-09", 422), ("server=x&day=2025-10-09", 404), ("day=2025-02-30", 422),
        ("day=today", 422), ("day=2025-10-09&types=z", 422), ("day=2025-10-09&cursor=bm8", 422),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused(platform: Management, query: str, status: int) -> None:
    server = platform.server(platform.organisation())
    if status == 422 and query != "day=2025-10-09":
        query = f"server={server}&{query}"
    assert platform.ask("GET", "/egress/accounting", query=query).status == status


@pytest.mark.parametrize(
    ("type_", "facts", "wanted"),
    [
        (EventType.SENT, tried("250 ok", 250), RecordType.DELIVERED),
        (EventType.BOUNCED, tried("550 no", 550), RecordType.BOUNCED),
        (EventType.EXPIRED, tried("", 0), RecordType.BOUNCED),
        (EventType.UNCERTAIN, tried("", 0, final=True), RecordType.BOUNCED),
        (EventType.UNCERTAIN, tried("", 0), RecordType.TRANSIENT),
        (EventType.DEFERRED, tried("450 later", 450, "RCPT"), RecordType.TRANSIENT),
        (EventType.DEFERRED, tried("", 0, "connect"), RecordType.TRANSIENT_QUEUE),
        (EventType.COMPLAINED, None, RecordType.FEEDBACK),
        (EventType.ACCEPTED, None, RecordType.RECEIVED),
        (EventType.OPENED, None, None),
        (EventType.RETRIED, tried("", 0), None),
    ],
)
def test_each_fact_has_its_type(
    type_: EventType, facts: AttemptFacts | None, wanted: RecordType | None
) -> None:
    key = made_submission(1, DAY).key(0)
    assert record_type(Event("x", type_, key, DAY, facts)) is wanted
