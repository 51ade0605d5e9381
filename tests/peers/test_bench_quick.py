"""The comparisons with peers run and show figures with their conditions. No rate is asserted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import peers
from bench.queue_peer import holding, take_in
from tests.peers.capture import capturing
from tests.support.customer import wait_for
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
    for door in ("smtp", "api_v1_send_raw"):
        calls = found["aws_calls_per_message"][door]
        assert calls["dynamodb.PutItem mail"] >= 2
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
    assert found["ratio_like_for_like"] == like["ratios_to_peer"]


def test_the_peer_holds_what_it_takes_in_and_delivers_it_signed_when_asked(
    open_folder: Path,
) -> None:
    with (
        capturing() as sink,
        holding(open_folder, next_port=sink.port, connections=5, signing=True) as peer,
    ):
        take_in(peer, 20, 2_048, connections=2)
        waiting = peer.postfix.queued
        assert waiting == 20 + 2 * 2  # the warm-up's are there too
        assert sink.messages == []
        delivered = peer.deliver_all()
        wait_for(lambda: len(sink.messages) == waiting, what="all that was held")
        wait_for(lambda: peer.postfix.queued == 0, what="an empty queue")
    assert delivered.seconds > 0
    for raw in sink.messages:
        assert raw.count(b"DKIM-Signature:") == 1
        assert b"c=relaxed/relaxed" in raw
