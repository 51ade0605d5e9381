"""What a benchmark may show: no figure without its conditions, none from memory alone."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from bench.__main__ import main
from bench.line import OURS, Figure, Ledger, Line, LineError, NotMeasured
from bench.load import HttpLoad, LoadError, SmtpLoad, under_load
from bench.memory_platform import NewestBodies, directory
from bench.processes import Usage
from bench.sample import SAMPLE, message, raw_of, sized

MEMORY = Figure(
    who=OURS,
    ledger=Ledger.MEMORY,
    durable="nothing",
    connections=10,
    message_octets=2_048,
    processes="1",
    cpu="2 x Any",
    messages=100,
    per_second=500.0,
    cpu_ms_per_1000=1_000.0,
)
EMULATOR = replace(
    MEMORY,
    ledger=Ledger.EMULATOR,
    per_second=50.0,
    cpu_ms_per_1000=5_000.0,
    emulator_cpu_ms_per_1000=2_000.0,
)
PEER = replace(MEMORY, who="postfix", ledger=Ledger.DISK, per_second=200.0, cpu_ms_per_1000=2_500.0)


def a_line(*figures: Figure | NotMeasured) -> Line:
    return Line("taken in", "kept connections", figures)


@pytest.mark.parametrize(
    "beside",
    [
        (),
        (PEER,),
        (replace(EMULATOR, who="postfix"),),
        (NotMeasured(OURS, Ledger.EMULATOR, "it did not start"),),
    ],
    ids=["nothing", "a peer", "another's", "a missing one"],
)
def test_memory_is_never_shown_without_the_real_adapters(
    beside: tuple[Figure | NotMeasured, ...],
) -> None:
    with pytest.raises(LineError, match="real adapters"):
        a_line(MEMORY, *beside)


def test_the_real_adapters_may_be_shown_alone() -> None:
    assert a_line(EMULATOR).ratios == {}
    assert a_line(MEMORY, EMULATOR).ratios == {}


@pytest.mark.parametrize(
    "missing",
    [
        {"who": ""},
        {"durable": ""},
        {"processes": ""},
        {"cpu": ""},
        {"connections": 0},
        {"message_octets": 0},
        {"messages": 0},
        {"ledger": Ledger.AWS},
    ],
    ids=str,
)
def test_a_figure_has_its_conditions(missing: dict[str, Any]) -> None:
    with pytest.raises(LineError):
        replace(MEMORY, **missing)


def test_what_is_not_measured_has_its_reason() -> None:
    with pytest.raises(LineError):
        NotMeasured("postfix", Ledger.DISK, "")


def test_ratios_are_to_the_first_peer_and_above_one_is_better() -> None:
    two = replace(MEMORY, processes="2", per_second=800.0, cpu_ms_per_1000=1_250.0)
    line = a_line(MEMORY, two, EMULATOR, PEER, replace(PEER, who="other", per_second=1.0))
    assert line.ratios == {
        "memory_rate": 4.0,
        "memory_cpu": 2.5,
        "emulator_rate": 0.25,
        "emulator_cpu": 0.5,
    }


def test_a_ratio_to_a_cpu_too_small_to_count_is_none() -> None:
    assert "memory_cpu" not in a_line(replace(MEMORY, cpu_ms_per_1000=0.0), EMULATOR, PEER).ratios


def test_every_row_of_the_table_names_its_conditions() -> None:
    head, *rows = a_line(MEMORY, EMULATOR, PEER).as_text()
    assert head == "taken in | kept connections"
    for row, figure in zip(rows, (MEMORY, EMULATOR, PEER), strict=False):
        for condition in (figure.who, figure.ledger, "10 connections", "2,048 octets", "2 x Any"):
            assert condition in row
    assert "emulator 2,000" in rows[1]
    assert "AWS" in rows[3]
    assert "not measured" in rows[3]
    assert "memory_rate 2.5" in rows[4]


def test_the_json_says_what_was_not_measured() -> None:
    missing = NotMeasured("postfix", Ledger.DISK, "not installed")
    found = Line("taken in", "kept", (EMULATOR, missing), unlike="it does more").as_json()
    assert [one["measured"] for one in found["figures"]] == [True, False, False]
    assert [one["ledger"] for one in found["figures"]] == ["emulator", "disk", "AWS"]
    assert found["unlike"] == "it does more"


@pytest.mark.parametrize("octets", [1_200, 1_279, 2_048, 51_200])
def test_a_message_of_a_size_has_that_size_and_proper_lines(octets: int) -> None:
    raw = sized(octets)
    assert len(raw) == octets
    assert raw.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert raw.count(b"https://") == 10


def test_sizes_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        sized(1_199)
    assert raw_of(SAMPLE) == message()


def test_a_load_counts_its_warm_up() -> None:
    assert SmtpLoad(25, 100, 2_048, 10, kept=True, tls=False, author="", recipient="").sent == 120
    assert HttpLoad("", "", "", 100, 2_048, 10, "", "").sent == 130


@contextmanager
def a_server_saying(*answers: bytes) -> Iterator[int]:
    """One answer a line read, the first before any; then it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                for answer in answers:
                    connection.sendall(answer + b"\r\n")
                    lines.readline()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ((b"554 go away",), "220 was wanted"),
        ((b"220 hello", b"250-a\r\n250 b", b"550 5.7.1 not you"), "not you"),
        ((b"220 hello", b"250 a", b"250 fine", b"421 4.3.2 stopping"), "stopping"),
    ],
    ids=["greeting", "sender", "recipient"],
)
def test_a_refused_message_ends_the_measurement(answers: tuple[bytes, ...], problem: str) -> None:
    with a_server_saying(*answers) as port:
        load = SmtpLoad(port, 1, 2_048, 1, kept=True, tls=False, author="a@b.test", recipient="c")
        with pytest.raises(LoadError, match=problem):
            under_load(load, lambda: Usage(0.0, 0.0))


def test_a_benchmark_that_has_no_quick_mode_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["stack", "--quick"], ["egress", "--messages", "-1"]):
        with pytest.raises(SystemExit):
            main(arguments)
    assert "--quick goes with intake or egress" in capsys.readouterr().err


def test_the_platform_in_memory_keeps_only_the_newest_bodies() -> None:
    bodies = NewestBodies()
    for number in range(1_001):
        bodies.put(str(number), b"x")
    assert bodies.get("1000") == b"x"
    with pytest.raises(KeyError):
        bodies.get("0")
    assert directory().address_credential("127.0.0.1") is not None
