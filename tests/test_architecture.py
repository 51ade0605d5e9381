"""Rules of the house as tests: who may read, wait, import, and how long a thing may be."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("mailroom", "cli", "egress", "hostapi", "localstack", "bench", "functions")
SOURCES = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "vendor" not in path.parts
)
# Rooms that are tools around the product: they start processes and hand them an environment.
TOOLS = ("localstack", "bench")
COMPOSITION = {"wiring.py", "settings.py", "__main__.py"}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

# A package that is not listed may be imported by nobody: a dependency is a decision.
# Entries are files, or folders with all that is in them.
IMPORTERS = {
    "aiobotocore": ["egress/sender/wiring.py"],
    "aiohttp": ["egress/control_http.py", "hostapi", "localstack", "bench"],
    "aiosmtpd": ["egress/submission", "localstack/simulator", "bench"],
    "aiosmtplib": ["egress/pipelined.py", "egress/greeting.py", "egress/connecting.py", "bench"],
    "aws_xray_sdk": ["mailroom/adapters/xray.py"],
    "boto3": [
        "mailroom/adapters/clients.py",
        "functions/tracking/mail_tracking/wiring.py",
        "localstack",
        "bench",
    ],
    "botocore": [
        "mailroom/adapters",
        "egress/aws",
        "functions/tracking/mail_tracking/wiring.py",
        "functions/webhooks/mail_webhooks/wiring.py",
        "localstack",
        "bench",
    ],
    "chalice": ["functions", "hostapi/wiring.py", "mailroom/adapters/chalice_http.py"],
    "cryptography": [
        "egress/signer.py",
        "mailroom/adapters/dkim_keys.py",
        "mailroom/adapters/rsa_signer.py",
        "localstack",
        "bench",
    ],
    "dkim": ["localstack/simulator", "bench"],
    "dns": [
        "egress/resolver.py",
        "mailroom/adapters/dns_records.py",
        "mailroom/adapters/dns_wire.py",
        "localstack",
    ],
    "httpx": ["cli"],
    "idna": ["egress/core/mx.py", "mailroom/domain/dns/names.py"],
    "localstack_client": ["localstack", "bench"],
    "ministack": ["localstack/emulator.py"],
    "multidict": ["hostapi", "localstack", "bench"],
    "pymysql": ["cli/postal/mariadb.py"],
    "pydantic": ["functions/api/mail_api/v2"],
    "pynamodb": ["mailroom/adapters", "functions/tracking/mail_tracking/wiring.py"],
    "spf": ["mailroom/adapters/spf_check.py"],
    "rich": ["cli/output.py"],
    "typer": ["cli"],
    "uvloop": [
        "egress/sender/wiring.py",
        "egress/listening.py",
        "bench",
    ],
    "yarl": ["localstack", "bench"],
}
OWN = {*ROOMS, "mail_api", "mail_scheduler", "mail_tracking", "mail_webhooks"}
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))

each_source = pytest.mark.parametrize("path", SOURCES, ids=str)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """The dotted names that `path` imports, wherever in the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def lies_in(path: Path, places: list[str]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def environment_readers(module: ast.Module) -> set[str]:
    names = {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            names |= {alias.name for alias in node.names}
    return names & {"environ", "environb", "getenv", "getenvb"}


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 100
    assert {"api", "scheduler", "tracking", "webhooks"} <= set(FUNCTIONS)


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] not in TOOLS], ids=str)
def test_only_composition_roots_read_the_environment(path: Path) -> None:
    if path.name not in COMPOSITION:
        assert not environment_readers(tree(path))


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.parts[0] in ("mailroom", "functions")], ids=str
)
def test_the_shared_library_and_the_functions_never_wait(path: Path) -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncWith, ast.AsyncFor)
    assert not [node for node in ast.walk(tree(path)) if isinstance(node, waiting)]
    assert "asyncio" not in {name.split(".")[0] for name in imported(path)}


@each_source
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@each_source
def test_no_module_is_long(path: Path) -> None:
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


@each_source
def test_no_function_is_long(path: Path) -> None:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree(path)):
        if isinstance(node, functions):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path}:{node.lineno} {node.name}"


@each_source
def test_a_dependency_is_imported_only_where_it_was_decided(path: Path) -> None:
    packages = {name.split(".")[0] for name in imported(path)} - sys.stdlib_module_names - OWN
    for package in packages:
        assert lies_in(path, IMPORTERS.get(package, [])), f"{path} imports {package}"


@pytest.mark.parametrize("package", sorted(IMPORTERS))
def test_the_list_of_importers_is_true(package: str) -> None:
    users = [p for p in SOURCES if package in {name.split(".")[0] for name in imported(p)}]
    assert users, f"nobody imports {package} any more"


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[0] not in TOOLS], ids=str)
def test_only_tools_know_the_tools(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & {*TOOLS, "tests"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_do_not_know_each_other_nor_the_host(name: str) -> None:
    others = {f"mail_{other}" for other in FUNCTIONS if other != name} | {"egress", "hostapi"}
    for path in SOURCES:
        if path.is_relative_to(f"functions/{name}"):
            assert not {module.split(".")[0] for module in imported(path)} & others


def test_no_room_but_the_host_api_knows_the_api_function() -> None:
    for path in SOURCES:
        if path.parts[0] not in ("functions", "hostapi", *TOOLS):
            assert "mail_api" not in {module.split(".")[0] for module in imported(path)}, path


@pytest.mark.parametrize("name", FUNCTIONS)
def test_importing_a_function_loads_no_aws_and_needs_no_environment(name: str) -> None:
    program = (
        "import sys, app; "
        "print(*sorted({'boto3', 'botocore', 'pynamodb', 'cryptography'} & sys.modules.keys()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'functions' / name}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr, ended.stdout.strip()) == (0, "", "")
