"""The asynchronous AWS clients a host has, for tests against the emulator."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiobotocore.session import get_session


@asynccontextmanager
async def clients(*services: str) -> AsyncIterator[list[Any]]:
    """Open one client for each of `services`; the environment says where."""
    async with AsyncExitStack() as stack:
        session = get_session()
        yield [await stack.enter_async_context(session.create_client(name)) for name in services]
