"""The supervisor with real processes: restarts, order of stopping, nothing left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import monotonic

import pytest

from localstack.processes import Program
from localstack.supervisor import Supervisor, VitalProcessEndedError

READY = "import sys, signal, time, os; open(sys.argv[1], 'w').close();"
STAYS = READY + "signal.pause()"
STUBBORN = (
    READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN); open(sys.argv[1] + '.deaf', 'w');"
)
STUBBORN += "[signal.pause() for _ in range(9)]"


@pytest.fixture
async def supervisor(tmp_path: Path) -> AsyncIterator[Supervisor]:
    made = Supervisor(tmp_path, tmp_path / "logs", lambda: None)
    yield made
    await made.stop()


def program(folder: Path, name: str, code: str, **more: object) -> Program:
    ready = folder / f"{name}.ready"
    command = (sys.executable, "-c", code, str(ready))
    return Program(name, command, dict(os.environ), ready, **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)


async def test_what_dies_comes_back_and_is_counted(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "one", STAYS))
    assert await supervisor.until_ready(monotonic() + 20) == []
    child = supervisor.children["one"]
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: child.restarts == 1 and child.pid not in (None, first))
    assert await supervisor.until_ready(monotonic() + 20) == []
    assert "SIGKILL" in child.log.read_text()


async def test_the_end_of_a_vital_process_ends_the_watch(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start(program(tmp_path, "heart", STAYS, vital=True))
    assert await supervisor.until_ready(monotonic() + 20) == []
    os.kill(supervisor.children["heart"].pid or 0, signal.SIGKILL)
    with pytest.raises(VitalProcessEndedError, match=r"the heart ended \(SIGKILL\)"):
        await asyncio.wait_for(supervisor.watch(), 20)


async def test_what_is_not_ready_in_time_is_named(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program(tmp_path, "good", STAYS))
    supervisor.start(program(tmp_path, "lame", "import signal; signal.pause()"))
    await until(lambda: (tmp_path / "good.ready").exists())
    assert await supervisor.until_ready(monotonic()) == ["lame"]


async def test_a_process_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, tmp_path / "logs", lambda: None)
    supervisor.start(program(tmp_path, "deaf", STUBBORN, grace=0.2))
    await until(lambda: (tmp_path / "deaf.ready.deaf").exists())
    pid = supervisor.children["deaf"].pid or 0
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_last_started_stops_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = READY + (
        "signal.signal(signal.SIGTERM, lambda *_: (open('order', 'a').write(sys.argv[1][-7:]), "
        "os._exit(0))); open(sys.argv[1] + '.set', 'w'); signal.pause()"
    )
    supervisor = Supervisor(tmp_path, tmp_path / "logs", lambda: None)
    for name in ("a", "b", "c"):
        supervisor.start(program(tmp_path, name, code))
    await until(lambda: all((tmp_path / f"{n}.ready.set").exists() for n in "abc"))
    await supervisor.stop()
    assert order.read_text() == "c.readyb.readya.ready"


async def test_children_of_a_process_end_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, signal; p = subprocess.Popen([sys.executable, '-c', "
        "'import signal; signal.pause()']); "
        "open(sys.argv[1], 'w').write(str(p.pid)); signal.pause()"
    )
    supervisor = Supervisor(tmp_path, tmp_path / "logs", lambda: None)
    supervisor.start(program(tmp_path, "parent", code))
    await until(lambda: bool((tmp_path / "parent.ready").exists() and grandchild(tmp_path)))
    pid = int(grandchild(tmp_path))
    await supervisor.stop()
    await until(lambda: not runs(pid))


def grandchild(folder: Path) -> str:
    return (folder / "parent.ready").read_text()


def runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
