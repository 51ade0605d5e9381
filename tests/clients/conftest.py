"""Other people's client libraries against a whole running platform."""

import json
import os
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from localstack.certificates import ensure_authority, issue
from tests.clients.tls_front import TlsFront
from tests.support.customer import Customer
from tests.support.stack import Stack

HERE = Path(__file__).parent
PACKAGES = ("@atech/postal@1.0.0", "nodemailer@7.0.9")
API_HOST = "api.mailroom.test"

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def customer(stack: Stack) -> Customer:
    return Customer(stack)


@pytest.fixture
def recipient() -> str:
    """A mailbox of the simulator that nobody else uses."""
    return f"accept+clients-{uuid.uuid4().hex[:12]}@sim.test"


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The libraries from npm's registry, unmodified, in a folder of their own."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed (.ci/run installs them)")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(
        [*command, "--prefix", str(folder), *PACKAGES],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"npm could not install {', '.join(PACKAGES)}: {done.stderr[-300:]}")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def run_node(node_modules: Path) -> Run:
    """Run one of this folder's scripts with a JSON argument; return the JSON it prints."""

    def run(script: str, order: object, *, ca: Path, preload: str = "") -> dict[str, Any]:
        options = ["-r", str(HERE / preload)] if preload else []
        done = subprocess.run(
            ["node", *options, str(HERE / script), json.dumps(order)],
            env={
                "PATH": os.environ["PATH"],
                "NODE_PATH": str(node_modules),
                "NODE_EXTRA_CA_CERTS": str(ca),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture(scope="session")
def https_api(
    customer: Customer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Path]]:
    """The API behind TLS under a name of its own: (port, the authority's certificate)."""
    folder = tmp_path_factory.mktemp("tls")
    authority = ensure_authority(folder)
    upstream = urlsplit(customer.status["api_url"])
    assert upstream.hostname
    assert upstream.port
    front = TlsFront(issue(folder, "api", [API_HOST]), (upstream.hostname, upstream.port))
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    try:
        yield front.port, authority.certificate
    finally:
        front.shutdown()
        front.server_close()
        thread.join(timeout=10)
