"""What taking mail in costs: SMTP submission next to Postfix's smtpd, and the HTTP API.

One load generator for all (`bench.smtp_load`). Nobody takes the mail away again: no sender runs,
and Postfix puts what it takes into its hold queue. What is durable differs, and stands in every
line: Postfix has written and fsynced a queue file, the emulator holds everything in memory.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import peers
from bench.cloud import running_cloud
from bench.http_intake import http_lines, http_load
from bench.line import Figure, Ledger, Line, NotMeasured
from bench.load import under_load
from bench.machine import describe
from bench.queue_peer import holding
from bench.subjects import Scenario, Subject, in_memory, on_emulator, peer, takes_by_address
from localstack.certificates import issue
from localstack.config import LOOPBACK

SIZES = (2_048, 51_200)
CONNECTIONS = (1, 10, 50)
QUICK = 12  # messages
_SIGNING_AT = 10  # connections: one row of a peer that signs at intake is enough
_COUNTED = 50  # messages of the run that counts calls, and of the warm-up
_WARM_UP = Scenario(SIZES[0], 10, kept=True, tls=True)

NOTES = (
    (
        "Postfix knows its clients by their address; our side does too, or logs in with AUTH PLAIN "
        "once a connection where the row says so"
    ),
    "HTTP: Debian has no peer that takes mail by HTTP, so there is no ratio",
    (
        "outside figure, other machine and message, so no ratio: Postal 3.3.7 on 2 vCPU with 4 GB "
        "took about 28 HTTP calls a second with one Puma process and 56.7 with two, 100 KB "
        "messages (VictorTrapenok/mega-mail-service, notes of September 2026)"
    ),
    "the load generator runs on the same cores and is in no CPU figure",
    "on the emulator one request in a hundred is traced, as on AWS; no daemon takes the traces",
)


def measure(count: int = 0, *, quick: bool = False) -> dict[str, Any]:
    """Return the lines, the AWS calls of a message by door, and the conditions."""
    count = QUICK if quick else count or 2_000
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # Postfix's own account goes through it
        certificate = issue(folder / "tls", "submission", ["localhost", LOOPBACK])
        cloud = stack.enter_context(running_cloud(function=True))
        ours = [
            stack.enter_context(in_memory(folder / "tls")),
            stack.enter_context(on_emulator(cloud)),
        ]
        others = _peers(stack, folder, certificate)
        by_address = all(takes_by_address(subject.port) for subject in ours)
        for subject in (*ours, *others):  # every thread and process starts before it counts
            subject.figure(_WARM_UP, _COUNTED, by_address=by_address)
        lines = [
            _line(scenario, ours, others, count, by_address=by_address)
            for scenario in _scenarios(quick=quick, by_address=by_address)
        ]
        lines += http_lines(cloud, count, SIZES[:1] if quick else SIZES)
    return {
        "lines": lines,
        "skipped": [] if by_address else ["no TLS: our side takes nothing by address alone"],
        "aws_calls_per_message": _calls(QUICK if quick else _COUNTED),
        "notes": list(NOTES),
        "machine": describe(),
    }


def _scenarios(*, quick: bool, by_address: bool) -> Iterator[Scenario]:
    for tls in (False, True) if by_address else (True,):
        for octets in SIZES[:1] if quick else SIZES:
            for kept in (True, False):
                for connections in (2,) if quick else CONNECTIONS:
                    yield Scenario(octets, connections, kept=kept, tls=tls)


def _peers(
    stack: contextlib.ExitStack, folder: Path, certificate: tuple[Path, Path]
) -> list[Subject]:
    """Start Postfix without and with OpenDKIM; nothing where they cannot run."""
    if peers.why_not():
        return []
    plain = holding(folder / "plain", certificate=certificate)
    signing = holding(folder / "signing", certificate=certificate, signing=True)
    return [peer(stack.enter_context(one)) for one in (plain, signing)]


def _line(
    scenario: Scenario,
    ours: Sequence[Subject],
    others: Sequence[Subject],
    count: int,
    *,
    by_address: bool,
) -> Line:
    many = scenario.connections != _SIGNING_AT and count > QUICK
    measured = [*ours, *(others[:1] if many else others)]
    figures: list[Figure | NotMeasured] = [
        subject.figure(scenario, count, by_address=by_address) for subject in measured
    ]
    if not others:
        figures.append(NotMeasured("postfix", Ledger.DISK, f"not measured: {peers.why_not()}"))
    return Line("SMTP submission: taken in, not delivered", scenario.how, tuple(figures))


def _calls(count: int) -> dict[str, dict[str, float]]:
    """Return the AWS calls of a message by door, caches warm, counted by a proxy."""
    found = {}
    with running_cloud(counting=True, function=True) as cloud, on_emulator(cloud) as subject:
        scenario = Scenario(SIZES[0], 1, kept=True, tls=True)
        smtp = subject.load(scenario, count, by_address=False)
        for door, load in (("smtp", smtp), ("api_v1_send_raw", http_load(cloud, count, SIZES[0]))):
            under_load(load)
            cloud.forget_calls()
            under_load(load)
            calls = {name: round(made / load.sent, 3) for name, made in cloud.calls().items()}
            found[door] = {**calls, "total": round(sum(calls.values()), 3)}
    return found
