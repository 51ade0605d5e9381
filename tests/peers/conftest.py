"""What the tests against other people's mail software share."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import postfix
from tests.support.customer import Customer
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def customer(stack: Stack) -> Customer:
    return Customer(stack)


@pytest.fixture
def needs() -> Callable[..., None]:
    """Skip unless the named programs are installed."""

    def check(*programs: str) -> None:
        missing = [name for name in programs if shutil.which(name) is None]
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)} (.ci/run installs the packages)")

    return check


@pytest.fixture
def needs_postfix() -> None:
    problem = postfix.why_not()
    if problem:
        pytest.skip(f"{problem} (.ci/run installs it)")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the accounts of mail programs can reach.

    Not pytest's: each start of pytest on the machine closes those to all but their owner.
    """
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def recipient() -> str:
    """A mailbox of the simulator that nobody else uses."""
    return f"accept+peers-{uuid.uuid4().hex[:12]}@sim.test"
