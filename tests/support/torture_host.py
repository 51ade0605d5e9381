"""A submission server in a process of its own, whose memory and descriptors can be asked for.

`python -m tests.support.torture_host LIMITS` takes changed limits as JSON and says where it
listens, as JSON; then it answers each line of its input with its state, and ends with it.
"""

import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from egress.submission.session import SubmissionSession
from tests.egress.submission_stand import CALM, Client, Stand

ROOT = Path(__file__).resolve().parents[2]
_FILES = Path("/proc/self/fd")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class State:
    """What the process holds: `memory` is its resident set in octets, `most` the largest so far."""

    memory: int
    most: int
    files: int
    sessions: int
    remembered: int  # session objects that the garbage collector still finds
    admitted: int
    held: int
    stored: int


def raise_file_limit() -> int:
    """Allow as many descriptors as the system does; return how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Host:
    """The process, seen from a test."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self._clients: list[Client] = []

    async def connect(self, address: str = "127.0.0.1") -> Client:
        """Connect from `address`; whoever started the process hangs up in the end."""
        streams = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        client = Client(*streams)
        self._clients.append(client)
        return client

    def hang_up(self) -> None:
        """End all connections."""
        for client in self._clients:
            client.hang_up()
        self._clients.clear()

    async def state(self) -> State:
        """Ask how the process is."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        return State(**json.loads(await self._line()))

    async def until_quiet(self) -> State:
        """Wait until no session is left; return the state then."""
        async with asyncio.timeout(60):
            while (state := await self.state()).sessions or state.admitted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return state

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            return await self._process.stdout.readline()


@asynccontextmanager
async def hosting(**limits: float) -> AsyncIterator[Host]:
    """Run the process with these limits changed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.torture_host", json.dumps(limits),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    host = Host(process, 0)
    try:
        host.port = json.loads(await host._line())["port"]
        yield host
        host.hang_up()
        process.stdin.close()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        host.hang_up()
        if process.returncode is None:
            process.kill()
            await process.wait()


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _largest_resident() -> int:
    # Not getrusage: its figure outlives exec and so may be that of the process that started us.
    (line,) = [each for each in _STATUS.read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _state(stand: Stand) -> State:
    gc.collect()
    return State(
        memory=_resident(),
        most=_largest_resident(),
        files=len(list(_FILES.iterdir())),
        sessions=len(stand.office.sessions),
        remembered=sum(isinstance(each, SubmissionSession) for each in gc.get_objects()),
        admitted=stand.office.admission._total,
        held=stand.office.held.held,
        stored=len(stand.stored),
    )


async def _serve(limits: dict[str, Any]) -> None:
    async with Stand(replace(CALM, **limits)).listening() as stand:
        print(json.dumps({"port": stand.server.ports[0]}), flush=True)  # noqa: T201
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while await lines.readline():
            state = _state(stand)
            shown = {name: getattr(state, name) for name in State.__slots__}
            print(json.dumps(shown), flush=True)  # noqa: T201


def main() -> int:
    """Serve until the input ends, on the loop that the real process uses."""
    raise_file_limit()
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_serve(json.loads(sys.argv[1])))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
