"""The comparisons with peers run and show figures with their conditions. No rate is asserted."""

import json
import subprocess
import sys
from typing import Any

import pytest

from bench import peers
from tests.support.emulator import ROOT

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _needs_peers() -> None:
    problem = peers.why_not()
    if problem:
        pytest.skip(f"{problem} (.ci/run installs it)")


def bench(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measured(line: dict[str, Any], who: str, ledger: str) -> list[dict[str, Any]]:
    return [
        figure
        for figure in line["figures"]
        if figure["measured"] and (figure["who"], figure["ledger"]) == (who, ledger)
    ]


def check_lines(lines: list[dict[str, Any]]) -> None:
    """Every line has the real adapters in it, and every figure its conditions."""
    for line in lines:
        assert measured(line, "mailroom", "emulator"), line
        assert [f["measured"] for f in line["figures"] if f["ledger"] == "AWS"] == [False]
        for figure in line["figures"]:
            if figure["measured"]:
                assert figure["per_second"] > 0
                assert figure["cpu_ms_per_1000"] >= 0
                assert figure["connections"] > 0
                assert figure["message_octets"] > 0
                assert figure["processes"]
                assert figure["durable"]
                assert "x" in figure["cpu"]


def test_intake_stands_next_to_postfix() -> None:
    found = bench("intake", "--quick")
    check_lines(found["lines"])
    smtp = [line for line in found["lines"] if line["work"].startswith("SMTP")]
    http = [line for line in found["lines"] if line["work"].startswith("HTTP")]
    assert {kept for line in smtp for kept in ("kept", "new") if kept in line["how"]} == {
        "kept",
        "new",
    }
    for line in smtp:
        assert measured(line, "mailroom", "memory")
        assert measured(line, "postfix", "disk")
        assert measured(line, "postfix+opendkim", "disk")
        assert {"memory_rate", "emulator_rate"} <= set(line["ratios_to_peer"])
    for line in http:
        assert measured(line, "mailroom", "memory")
        assert line["ratios_to_peer"] == {}  # there is no peer
    assert http
    doors = {"smtp": "BatchExecuteStatement", "api_v1_send_raw": "PutItem"}
    for door, operation in doors.items():
        calls = found["aws_calls_per_message"][door]
        assert calls[f"dynamodb.{operation} mail"] > 0
        assert calls["sqs.SendMessageBatch"] > 0


def test_egress_stands_next_to_postfix() -> None:
    found = bench("egress", "--quick")
    check_lines(found["lines"])
    like, deployed = found["lines"]
    for line in (like, deployed):
        assert {figure["processes"] for figure in measured(line, "mailroom", "memory")} == {
            "1 sender",
            "2 senders",
        }
    assert measured(like, "postfix", "disk")
    (signing,) = measured(like, "postfix+opendkim", "disk")
    assert "computed" in signing["note"]
    assert {figure["message_octets"] for figure in like["figures"] if figure["measured"]} == {2_048}
    assert len({figure["connections"] for figure in like["figures"] if figure["measured"]}) == 1
    assert like["unlike"] == ""
    assert deployed["unlike"]
    assert found["ratio_delivery"] == like["ratios_to_peer"]
    assert found["ratio_like_for_like"] is None
    assert found["ratio_like_for_like_why"]
    assert found["messages_per_second"] > 0
    assert found["processes"] in ("1 sender", "2 senders")
    assert found["message_octets"] == 8_724
    assert set(found["ratio_postfix_opendkim"]) == {"rate", "cpu"}
