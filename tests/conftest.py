"""What every test may use: an emulator for the session, a whole stack for the session, and the
rule that nothing may skip where all is installed.
"""

import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.emulator import Emulator, running_emulator
from tests.support.stack import Stack, running_stack


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stack-state",
        metavar="DIR",
        help="use the stack that runs in this state folder instead of starting one",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip is a failure: a test that did not run has proved nothing."""
    report: pytest.TestReport = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although CI=true: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """An AWS emulator; if you write, take an account of your own on it (`Emulator.session`)."""
    # A short path: the system's socket files do not bear a long one.
    with tempfile.TemporaryDirectory() as folder, running_emulator(Path(folder)) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A whole running platform, shared by the session: leave others' mail alone."""
    given = request.config.getoption("--stack-state")
    if given:
        yield Stack(Path(given))
        return
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as running:
        yield running


def pytest_sessionfinish() -> None:
    """Close the X-Ray library's socket, which it opens when it is imported and never closes."""
    core = sys.modules.get("aws_xray_sdk.core")
    if core is not None:
        core.xray_recorder.emitter._socket.close()
