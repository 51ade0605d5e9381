"""postal-py from PyPI: pydantic models that insist on every type."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.customer import Customer

pytestmark = [pytest.mark.clients, pytest.mark.stack]

HERE = Path(__file__).parent
LOCK = HERE.parent.parent / "requirements" / "clients.lock"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the library, as pinned, and nothing of ours."""
    folder = tmp_path_factory.mktemp("postal-py")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        pytest.skip(f"pip could not install postal-py: {done.stderr[-300:]}")
    return python


@pytest.mark.parametrize("check", ["read_back", "large", "raw", "refusals"])
def test_the_library_works_unmodified(
    check: str, python: Path, customer: Customer, recipient: str
) -> None:
    order = {"check": check, "status": customer.status, "recipient": recipient}
    done = subprocess.run(
        [str(python), str(HERE / "postal_py_client.py"), json.dumps(order)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if check in ("read_back", "raw"):
        [mail] = customer.mailbox(recipient)
        assert customer.mail(mail["id"])["dkim"] == "pass"
    if check == "refusals":
        assert customer.mailbox(recipient) == []
