"""The journal on the local disk: what this process was doing, for the one that comes after it.

Each line is handed to the system at once, so a killed process loses none. Only the line before
a final dot waits for the disk; all that wait at the same time share one fdatasync.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egress.core.journal_log import (
    ClaimRecord,
    RecordKind,
    Replay,
    claim_line,
    mark_line,
    reopen,
    replay,
    verdict_line,
)


class JournalError(Exception):
    """The journal cannot promise anything any more, or belongs to another process."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The two calls everything rests on: write octets to a file (how many went), sync it."""

    write: Callable[[int, bytes], int] = os.write
    sync: Callable[[int], None] = os.fdatasync


class Journal:
    """An append-only file of claims. All methods belong to the loop's thread.

    Once a write or a sync has failed every further one raises JournalError: after a failed sync
    the system may have dropped the lines, and a later success would mean nothing.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = 64 * 1024 * 1024, disk: Disk | None = None
    ) -> None:
        """Open or create the journal at `path`; `replay` then holds what the last life left.

        Claims of the last life stay in the file until `settled` is told. Raises JournalError if
        another process has it, OSError if it cannot be read or written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._disk = disk or Disk()
        self._lock = _locked(path.with_name(path.name + ".lock"))
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        self.replay: Replay = replay(lines)
        self._open = reopen(lines)
        self._file = -1
        self._broken: Exception | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._committing: asyncio.Task[None] | None = None
        self._syncer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._compact()

    def claim(self, record: ClaimRecord) -> None:
        """Note that `record` is ours to send."""
        self._append(RecordKind.CLAIM, record.claim, claim_line(record))

    async def dot(self, claim: str) -> None:
        """Note that the final dot goes out now; returns when the disk has it.

        Raises KeyError for a claim that is not open, JournalError if the disk refused.
        """
        self._append(RecordKind.DOT, claim, mark_line(RecordKind.DOT, claim))
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit(), name="journal-commit")
        await waiter

    def verdict(self, claim: str, verdict: Mapping[str, Any]) -> None:
        """Note how the attempt ended; reaches the disk with the next `dot` of anybody.

        Raises KeyError for a claim that is not open, TypeError or ValueError for no JSON.
        """
        self._append(RecordKind.VERDICT, claim, verdict_line(claim, verdict))

    def settled(self, claim: str) -> None:
        """Note that the table knows; the claim is over. Raises KeyError if it is not open."""
        self._append(RecordKind.SETTLED, claim, mark_line(RecordKind.SETTLED, claim))
        self._compact_if_large()

    async def close(self) -> None:
        """Wait for the commits under way, then give the file back."""
        while self._committing is not None:
            await asyncio.wait([self._committing])
        self._syncer.shutdown()
        os.close(self._file)
        os.close(self._lock)

    def _append(self, kind: RecordKind, claim: str, line: bytes) -> None:
        self._require_sound()
        if kind is not RecordKind.CLAIM and claim not in self._open.lines:
            raise KeyError(claim)
        try:
            written = self._disk.write(self._file, line)
        except OSError as error:
            self._broken = error
            self._require_sound()
        if written < len(line):
            self._broken = OSError("the disk took only a part of a line")
            self._require_sound()
        self._open.note(kind, claim, line)
        self._size += written

    def _require_sound(self) -> None:
        if self._broken is not None:
            raise JournalError(f"the journal {self._path.name} failed") from self._broken

    async def _commit(self) -> None:
        """Sync as long as somebody waits. Who comes during one sync shares the next."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await loop.run_in_executor(self._syncer, self._disk.sync, self._file)
            except OSError as error:
                self._broken = error
            for waiter in batch:
                if waiter.done():
                    continue
                if self._broken is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(JournalError("the journal could not be synced"))
        self._committing = None
        self._compact_if_large()

    def _compact_if_large(self) -> None:
        # Never during a sync: the file under it would change.
        if self._size > self._limit and self._committing is None and self._broken is None:
            try:
                self._compact()
            except OSError as error:
                self._broken = error

    def _compact(self) -> None:
        """Begin a new file with the open claims only; it takes the old one's place in one step."""
        fresh = self._path.with_name(self._path.name + ".new")
        kept = self._open.dump()
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        with os.fdopen(os.dup(file), "wb") as stream:
            stream.write(kept)
        os.fsync(file)
        fresh.replace(self._path)
        _sync_folder(self._path.parent)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = file, len(kept)
        self._limit = max(self._max_bytes, 2 * len(kept))


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise JournalError(f"another process has the journal {path.stem}") from error
    return lock


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
