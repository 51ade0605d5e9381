"""`./run` itself: readable by old interpreters, silent about what is installed."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "run"


def test_an_old_python_gets_one_clear_line() -> None:
    program = (
        "import sys, runpy; sys.version_info = (3, 9, 2); sys.argv = ['run', 'up'];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or newer is needed, this is 3.9")
    assert done.stderr.count("\n") == 1


def test_the_script_is_written_in_the_syntax_of_the_first_python_3() -> None:
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 4))
    modern = (ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.Match, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, modern)]


def test_without_a_command_it_lists_them() -> None:
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True)
    for command in ("up", "down", "status", "logs", "test", "lint", "mailroom", "bench", "package"):
        assert f"\n  {command} " in done.stdout


def test_an_unknown_command_is_named() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "fly"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "'fly'" in done.stderr
