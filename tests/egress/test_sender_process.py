"""How the sender's process ends when it must."""

import asyncio
import os
import sys
from pathlib import Path

from egress.journal import Journal
from egress.sender.wiring import JOURNAL_EXIT
from tests.support.emulator import ROOT

NEVER = "http://127.0.0.1:9"  # nothing is asked before the journal is open


async def test_a_journal_that_another_process_has_ends_it_with_a_code_of_its_own(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "sender.journal")
    names = (
        "TABLE_MAIL", "TABLE_DIRECTORY", "TABLE_COUNTERS", "TABLE_CONTROL", "TABLE_SUPPRESSIONS",
        "QUEUE_LANE", "QUEUE_BULK", "BUCKET_BODIES",
    )  # fmt: skip
    environment = {
        **{f"MAILROOM_{name}": NEVER for name in names},
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": NEVER,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MAILROOM_NAMESERVERS": "127.0.0.1:9",
        "MAILROOM_EHLO_NAME": "out.example.com",
        "MAILROOM_JOURNAL_DIR": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "egress", "sender",
        cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    await journal.close()
    assert process.returncode == JOURNAL_EXIT == 74, output.decode()
    assert b"the journal cannot be used" in output
