"""The journal on a real disk: what survives, what shares a sync, what fails loudly."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from egress.core.journal_log import ClaimRecord, Replay, replay
from egress.journal import Disk, Journal, JournalError


def record(claim: str) -> ClaimRecord:
    return ClaimRecord(claim, "srv0000001", 1, 2, 3, 4)


def size(path: Path) -> int:
    return path.stat().st_size


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "sender.journal"


async def test_a_new_journal_has_nothing_to_do(path: Path) -> None:
    journal = Journal(path)
    assert journal.replay == Replay()
    assert mode(path) == 0o600
    await journal.close()


async def test_the_next_life_finds_what_was_open(path: Path) -> None:
    first = Journal(path)
    for claim in "abcd":
        first.claim(record(claim))
    await asyncio.gather(*(first.dot(claim) for claim in "bcd"))
    first.verdict("c", {"code": 250})
    first.verdict("d", {"code": 250})
    first.settled("d")
    await first.close()
    second = Journal(path)
    assert [each.claim for each in second.replay.released] == ["a"]
    assert [each.claim for each in second.replay.uncertain] == ["b"]
    assert [(each.claim.claim, each.verdict) for each in second.replay.unrecorded] == [
        ("c", {"code": 250})
    ]
    for claim in "abc":  # what the restart settles is gone for good
        second.settled(claim)
    await second.close()
    third = Journal(path)
    assert third.replay == Replay()
    await third.close()


async def test_dots_at_the_same_time_share_a_sync(path: Path) -> None:
    syncs: list[int] = []

    def counted(file: int) -> None:
        syncs.append(path.read_bytes().count(b'"dot"'))
        os.fdatasync(file)

    journal = Journal(path, disk=Disk(sync=counted))
    for n in range(50):
        journal.claim(record(str(n)))
    await asyncio.gather(*(journal.dot(str(n)) for n in range(50)))
    assert syncs[0] > 0
    assert len(syncs) <= 2
    await journal.dot("0")
    assert len(syncs) <= 3
    assert syncs[-1] == 51  # the line was written before the sync that covers it
    await journal.close()


async def test_only_a_dot_waits_for_the_disk(path: Path) -> None:
    syncs: list[int] = []
    journal = Journal(path, disk=Disk(sync=syncs.append))
    journal.claim(record("a"))
    journal.verdict("a", {})
    journal.settled("a")
    await journal.close()
    assert syncs == []


async def test_a_failed_sync_ends_all_promises(path: Path) -> None:
    def broken(_: int) -> None:
        raise OSError("disk gone")

    journal = Journal(path, disk=Disk(sync=broken))
    journal.claim(record("a"))
    with pytest.raises(JournalError, match="synced"):
        await journal.dot("a")
    with pytest.raises(JournalError, match="failed"):
        journal.claim(record("b"))
    with pytest.raises(JournalError, match="failed"):
        await journal.dot("a")
    await journal.close()


async def test_a_short_write_ends_all_promises(path: Path) -> None:
    room = iter([1000, 5])

    def short(file: int, line: bytes) -> int:
        return os.write(file, line[: next(room)])

    journal = Journal(path, disk=Disk(write=short))
    journal.claim(record("a"))
    with pytest.raises(JournalError, match="failed"):
        await journal.dot("a")
    with pytest.raises(JournalError, match="failed"):
        journal.settled("a")
    await journal.close()
    after = Journal(path)
    assert [each.claim for each in after.replay.released] == ["a"]
    await after.close()


async def test_a_large_journal_keeps_its_open_claims_only(path: Path) -> None:
    journal = Journal(path, max_bytes=10_000)
    journal.claim(record("kept"))
    await journal.dot("kept")
    largest = 0
    for n in range(500):
        journal.claim(record(str(n)))
        if n % 10 == 0:
            await journal.dot(str(n))
        journal.verdict(str(n), {"code": 550})
        journal.settled(str(n))
        largest = max(largest, size(path))
    assert 9_000 < largest < 12_000
    await journal.dot("kept")  # the new file is the one written to
    await journal.close()
    with path.open("rb") as lines:
        found = replay(lines)
    assert [each.claim for each in found.uncertain] == ["kept"]
    assert found.released == ()


async def test_compacting_under_many_dots_loses_none(path: Path) -> None:
    journal = Journal(path, max_bytes=2_000)

    async def one(claim: str) -> None:
        journal.claim(record(claim))
        await journal.dot(claim)
        journal.verdict(claim, {})
        if int(claim) % 3:
            journal.settled(claim)

    await asyncio.gather(*(one(str(n)) for n in range(300)))
    await journal.close()
    after = Journal(path)
    assert {each.claim.claim for each in after.replay.unrecorded} == {
        str(n) for n in range(0, 300, 3)
    }
    assert (after.replay.unreadable, after.replay.uncertain) == (0, ())
    await after.close()


async def test_the_file_is_never_exchanged_under_a_sync(path: Path) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def slow(file: int) -> None:
        syncing.set()
        assert go_on.wait(5)
        os.fdatasync(file)

    journal = Journal(path, max_bytes=1_000, disk=Disk(sync=slow))
    journal.claim(record("a"))
    waiter = asyncio.create_task(journal.dot("a"))
    assert await asyncio.to_thread(syncing.wait, 5)
    for n in range(100):
        journal.claim(record(str(n)))
        journal.settled(str(n))
    before = size(path)
    go_on.set()
    await waiter
    await journal.close()
    assert before > 10_000 > 1_000 > size(path)


async def test_two_processes_cannot_share_a_journal(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(JournalError, match="another process"):
        Journal(path)
    await journal.close()


async def test_marks_of_unknown_claims_are_the_callers_mistake(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(KeyError):
        await journal.dot("never")
    with pytest.raises(KeyError):
        journal.verdict("never", {})
    await journal.close()


async def test_a_waiter_who_is_cancelled_does_not_disturb_the_others(path: Path) -> None:
    journal = Journal(path)
    for claim in "ab":
        journal.claim(record(claim))
    gone = asyncio.create_task(journal.dot("a"))
    stays = asyncio.create_task(journal.dot("b"))
    await asyncio.wait([gone], timeout=0)
    gone.cancel()
    await asyncio.wait_for(stays, 5)
    await journal.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from egress.core.journal_log import ClaimRecord
from egress.journal import Journal

async def main():
    journal = Journal(Path(sys.argv[1]))
    for n in range(100):
        journal.claim(ClaimRecord(str(n), "s", 1, 2, 3, 4))
        if n % 2:
            await journal.dot(str(n))
        if n % 4 == 1:
            journal.verdict(str(n), {})
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_killed_process_loses_no_line(path: Path) -> None:
    ended = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, str(path)], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    left = Journal(path)
    assert len(left.replay.released) == 50
    assert len(left.replay.uncertain) == 25
    assert len(left.replay.unrecorded) == 25
    await left.close()
