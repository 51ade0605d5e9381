"""`mailroom egress`: orders in short, watching, explaining, and dialogues with receivers."""

from pathlib import Path
from typing import Any

import pytest

from cli.commands.egress_orders import seconds
from cli.errors import UsageError
from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.lifecycle import State
from mailroom.domain.message import Delivery, ServerId
from mailroom.domain.sending.trace import TraceLine
from mailroom.domain.sending.view import HostView, PathView
from mailroom.usecases.host_views import write_view
from mailroom.usecases.traces import finish_trace, take_trace
from tests.cli.test_real_api import RealTool
from tests.support.many_messages import made_delivery, made_submission

WHY = ("--reason", "They ask for it")


class HostedTool(RealTool):
    """A tool whose platform has a host that shows itself, and runs dialogues while it waits."""

    said: tuple[str, ...] = ("220 hello",)
    error = ""

    def show(self, *paths: PathView, **more: Any) -> None:
        view = HostView("host-1", self.management.clock.at, paths=paths, **more)
        write_view(view, self.management.control)

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        control, now = self.management.control, self.management.clock.at
        taken = take_trace(control, "host-1", now=now, mine=lambda _: True)
        if taken:
            lines = [TraceLine(0.25, "<", text) for text in self.said]
            finish_trace(taken, lines, control, now=now, error=self.error)
        if len(self.waited) > 3:
            raise KeyboardInterrupt


@pytest.fixture
def tool(tmp_path: Path) -> HostedTool:
    return HostedTool(tmp_path)


def orders(tool: HostedTool) -> Any:
    return tool.json("egress", "orders", "list")["data"]


SHORT: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (("pause", "--site", "gmail"), {"selector": {"site": "gmail"}}),
    (("suspend", "--pool", "p", "--provider", "yahoo"),
     {"selector": {"pool": "p", "provider": "yahoo"}}),
    (("disable-address", "--address", "ip_a"), {"selector": {"address": "ip_a"}}),
    (("bounce", "--campaign", "spring", "--older-than", "10m", "--quiet"),
     {"selector": {"campaign": "spring", "older_than": 600}, "arguments": {"quiet": True}}),
    (("drop", "--recipient", "Ann@b.example"), {"selector": {"recipient": "ann@b.example"}}),
    (("hold", "--tenant", "srv", "--lane", "bulk"),
     {"selector": {"tenant": "srv", "lane": "bulk"}}),
    (("release", "--organisation", "org"), {"selector": {"organisation": "org"}}),
    (("retry-now", "--tenant", "srv", "--campaign", "x"),
     {"selector": {"tenant": "srv", "campaign": "x"}}),
    (("reroute", "--tenant", "srv", "--to-pool", "q"), {"arguments": {"pool": "q"}}),
    (("throttle", "--tenant", "srv", "--rate", "100/min"), {"arguments": {"rate": "100/60s"}}),
    (("priority", "--tenant", "srv", "--level", "-3"), {"arguments": {"priority": -3}}),
    (("normal", "--site", "gmail"), {}),
    (("backoff", "--site", "gmail"), {}),
    (("drain-host", "--process", "host-1"), {"arguments": {"process": "host-1"}}),
    (("trace-mail", "--delivery", "srvaaaaaaa.1.0"), {"verb": "trace"}),
]  # fmt: skip


@pytest.mark.parametrize(("words", "wanted"), SHORT, ids=lambda each: str(each)[:40])
def test_each_verb_is_a_command(
    tool: HostedTool, words: tuple[str, ...], wanted: dict[str, Any]
) -> None:
    assert tool.run("egress", *words, *WHY, "--for", "2h") == 0, tool.err
    said = tool.err
    (order,) = orders(tool)
    assert order["verb"] == wanted.get("verb", words[0])
    assert (order["reason"], order["expires_at"] - order["created_at"]) == (WHY[1], 7_200)
    for part in ("selector", "arguments"):
        if part in wanted:
            assert order[part] == wanted[part]
    assert f"cancel {order['id']}" in said


def test_orders_are_added_by_verb_listed_and_cancelled(tool: HostedTool) -> None:
    made = tool.json("egress", "orders", "add", "pause", "--site", "gmail", *WHY)
    assert [each["id"] for each in orders(tool)] == [made["id"]]
    assert tool.json("egress", "orders", "read", made["id"])["verb"] == "pause"
    assert tool.run("egress", "orders", "cancel", made["id"], "--yes") == 0
    assert orders(tool) == []


def test_all_mail_there_is_has_to_be_meant(tool: HostedTool) -> None:
    assert tool.run("egress", "bounce", *WHY) == 1
    assert "confirm" in tool.err
    assert tool.run("egress", "bounce", *WHY, "--all-mail") == 0


def test_an_order_needs_a_reason_and_a_time_that_is_one(tool: HostedTool) -> None:
    assert tool.run("egress", "pause", "--site", "gmail") == 2
    assert tool.run("egress", "pause", "--site", "gmail", *WHY, "--for", "soon") == 2
    assert "no time" in tool.err


@pytest.mark.parametrize(
    ("text", "found"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7_200), ("1d", 86_400)]
)
def test_times_are_read(text: str, found: float) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "h", "-1s", "1w", "1 day"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds(text)


GMAIL = PathView(
    "ip_a", "gmail", provider="gmail", state="backoff", cause="gmail-rate", ready=40,
    binding="message-rate", reply="421 slow", until=1_760_000_600.0,
)  # fmt: skip


def test_hosts_are_watched(tool: HostedTool) -> None:
    tool.show(GMAIL, lanes={"bulk": 40}, waiting={"gmail": 40})
    assert tool.run("egress", "top", "--once") == 0, tool.err
    for word in ("waiting 40", "backoff 1", "host-1", "message-rate", "gmail"):
        assert word in tool.out
    (seen,) = [tool.json("egress", "top", "--once")]
    assert seen["status"]["waiting"] == 40
    assert tool.run("egress", "top") == 130  # interrupted at the fourth wait
    assert tool.out.count("host-1") == 4


def test_what_hosts_show_are_lists(tool: HostedTool) -> None:
    tool.show(GMAIL, lanes={"bulk": 40}, waiting={"gmail": 40})
    for command in ("hosts", "paths", "queues", "sites"):
        assert tool.run("egress", command) == 0, tool.err
        assert tool.out
    assert tool.run("egress", "status") == 0
    assert tool.run("egress", "ips", "list") == 0
    assert tool.run("egress", "ips", "warm") == 0


def test_a_path_says_why(tool: HostedTool) -> None:
    tool.show(GMAIL)
    assert tool.run("egress", "why", "ip_a", "gmail") == 0, tool.err
    for word in ("backoff", "gmail-rate", "421 slow", "2025-10-09 08:53:20"):
        assert word in tool.out
    assert tool.run("egress", "why", "ip_z", "gmail") == 1


def waiting(tool: HostedTool) -> Delivery:
    ledger = tool.management.memory.ledger
    made = made_submission(9_000_000, tool.management.clock.at, server=ServerId("srvaaaaaaa"))
    row = made_delivery(made, 0, "ann@gmail.com", state=State.QUEUED)
    ledger.reserve([row])
    ledger.commit(made)
    facts = AttemptFacts(1, "Not now.", "421 slow", 421, "MAIL")
    ledger.record(Event("1", EventType.DEFERRED, row.key, tool.management.clock.at, facts))
    return row


def test_a_delivery_says_why(tool: HostedTool) -> None:
    row = waiting(tool)
    tool.show(GMAIL)
    assert tool.run("egress", "why", str(row.key)) == 0, tool.err
    assert tool.out.startswith("It waits. The path ip_a>gmail is in backoff")
    for word in ("ann@gmail.com", "Not now.", "message-rate"):
        assert word in tool.out
    assert tool.json("egress", "why", str(row.key))["provider"] == "gmail"


def test_a_dialogue_is_shown_line_by_line(tool: HostedTool) -> None:
    tool.said = ("220 hello", "250 \x1b[31mred")
    assert tool.run("egress", "trace", "gmail.com", "--recipient", "ann@gmail.com") == 0, tool.err
    assert "   0.250 < 220 hello\n" in tool.out
    assert "\x1b" not in tool.out
    assert "by host-1: done" in tool.err
    told = tool.json("egress", "trace", "gmail.com", "--recipient", "a@b.c", "--send-one")
    assert told["depth"] == "send"


def test_a_dialogue_that_broke_off_ends_with_4(tool: HostedTool) -> None:
    tool.error = "refused: 554 go away"
    assert tool.run("egress", "resolve", "gmail.com", "--connect") == 4
    assert "220 hello" in tool.out
    assert "554 go away" in tool.err
    assert tool.run("egress", "trace", "gmail.com", "--send-one") == 2


def test_names_are_looked_up_by_a_host(tool: HostedTool) -> None:
    assert tool.json("egress", "resolve", "gmail.com")["depth"] == "resolve"


def test_accounting_is_written_to_a_file_once(tool: HostedTool, tmp_path: Path) -> None:
    management = tool.management
    server = management.server(management.organisation())
    ledger = management.memory.ledger
    for number in range(150):
        made = made_submission(6_000_000 + number, 1_759_968_000.0 + number,
                               server=ServerId(server))  # fmt: skip
        row = made_delivery(made, 0, f"a{number}@b.example", state=State.SENT)
        ledger.reserve([row])
        ledger.commit(made)
        facts = AttemptFacts(1, "Sent.", "250 ok", 250, ".")
        ledger.record(Event(str(number), EventType.SENT, row.key, 1_759_968_100.0, facts))
    out = tmp_path / "records.csv"
    words = ("egress", "accounting", "2025-10-09", "--server", server)
    assert tool.run(*words, "--out", str(out)) == 0, tool.err
    lines = out.read_text().splitlines()
    assert (len(lines), lines[0][:20]) == (151, "type,timeLogged,time")
    assert tool.run(*words) == 0
    assert tool.out == out.read_text()
    assert tool.run(*words, "--out", str(out)) == 2
    assert "exists" in tool.err


NEW = '{"defaults": {"connections": 7}}'


def test_shaping_is_checked_compared_published_and_gone_back_on(tool: HostedTool) -> None:
    assert tool.run("egress", "shaping", "lint", "--document", NEW) == 0, tool.err
    assert tool.run("egress", "shaping", "lint", "--document", '{"defaults": {"x": 1}}') == 4
    assert tool.out.startswith("defaults.x")
    assert tool.run("egress", "shaping", "diff", "--document", NEW) == 0
    assert "defaults.connections: " in tool.out
    assert tool.run("egress", "shaping", "publish", "--document", NEW, *WHY) == 0, tool.err
    again = '{"defaults": {"connections": 8}}'
    made = tool.json("egress", "shaping", "publish", "--document", again, *WHY, "--expected", "1")
    assert made["number"] == 2
    assert tool.run("egress", "shaping", "diff", "--old", "1", "--new", "2") == 0
    assert tool.out == "defaults.connections: 7 -> 8\n"
    assert tool.json("egress", "shaping", "diff", "--new", "2") == {"lines": []}
    assert tool.json("egress", "shaping", "rollback", "--to", "1", *WHY)["back_to"] == 1
    assert tool.json("egress", "shaping", "get")["document"]["defaults"] == {"connections": 7}
    assert len(tool.json("egress", "shaping", "versions")["data"]) == 3
    assert tool.run("egress", "shaping", "lint", "--document", "[]") == 2


def test_settings_of_a_path_are_a_table(tool: HostedTool) -> None:
    tool.show(GMAIL)
    assert tool.run("egress", "shaping", "publish", "--document", NEW, *WHY) == 0, tool.err
    assert tool.run("egress", "settings", "ip_a", "gmail") == 0, tool.err
    assert ["connections", "7", "defaults"] in [line.split() for line in tool.out.splitlines()]
    assert tool.json("egress", "settings", "ip_a", "gmail")["version"] == 1


def test_rules_are_tried(tool: HostedTool) -> None:
    words = ("egress", "rules", "test", "--provider", "gmail", "--reply")
    assert tool.json(*words, "421-4.7.28 unusual rate", "--phase", "MAIL")["scope"]
    replies = '[{"reply": "550 5.1.1 no such user", "phase": "RCPT", "times": 3}]'
    assert tool.run("egress", "rules", "dry-run", "--replies", replies) == 0, tool.err
    assert tool.out.startswith("3 replies, 0 judged otherwise")
    found = tool.json("egress", "rules", "dry-run", "--replies", replies)
    assert found["replies"] == 3
    assert tool.run("egress", "rules", "dry-run") == 2
    assert tool.run("egress", "rules", "unknown") == 0
