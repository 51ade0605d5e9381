"""The sender's composition root: environment in, running process out."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from egress.journal import JournalError
from egress.limits import check_descriptors
from egress.log import log_as_json
from egress.sender.assembly import Assembler, Clients, Sender
from egress.sender.beside import background, lasting, served, sign_off
from egress.sender.host import Host, read_host
from egress.sender.recovery import recover
from mailroom.adapters.xray import tracing_of
from mailroom.settings import Settings, load_settings

_AWS = AioConfig(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 4},
    max_pool_connections=64,
)
JOURNAL_EXIT = 74  # EX_IOERR of sysexits.h
_DRAIN_SECONDS = 20.0  # for giving leases and bookings back


def main() -> None:
    """Run the sender until SIGTERM or SIGINT."""
    log_as_json()
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        settings, host = load_settings(os.environ), read_host(os.environ)
        check_descriptors(host.slots, "MAILROOM_SENDER_SLOTS")
        asyncio.run(run(settings, host))
    except JournalError:
        logging.getLogger(__name__).exception("the journal cannot be used: the sender ends")
        sys.exit(JOURNAL_EXIT)


async def run(settings: Settings, host: Host) -> None:
    """Recover, then work until a signal asks to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:

        async def aws(service: str) -> Any:
            made = get_session().create_client(service, config=_AWS)
            return await stack.enter_async_context(made)

        clients = Clients(await aws("dynamodb"), await aws("sqs"), await aws("s3"))
        sender = Assembler(settings, host, clients, tracing_of(settings)).sender()
        try:
            await recover(sender.desk.journal.replay, sender.desk, sender.deliveries)
            await _work(sender, settings, host, stop)
        finally:
            lanes = (lane.drain() for lane in sender.lanes)
            await asyncio.gather(*lanes, sender.deliveries.drain(), sender.parked.drain())
            await sender.desk.journal.close()


async def _work(sender: Sender, settings: Settings, host: Host, stop: asyncio.Event) -> None:
    await asyncio.gather(
        sender.orders.refresh(),
        sender.shaping.refresh(),
        sender.memory.begin(sender.engine, sender.own.id if sender.own else ""),
    )
    sender.warmup.start()
    sender.shared.start()
    server = await served(sender, host.control)
    beside = background(
        sender,
        stop,
        divisor=settings.delay_divisor,
        authorities=host.authorities,
        name=settings.environment,
    )
    tasks = [asyncio.create_task(lasting(work)) for work in beside]
    if host.ready_file:
        host.ready_file.write_text(json.dumps({"pid": os.getpid()}))
    try:
        await sender.dispatcher.run(stop, grace=host.grace)
    finally:
        if server is not None:
            await server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await sign_off(sender)
