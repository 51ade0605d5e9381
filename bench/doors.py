"""A customer's two ways in, used as a well-written client does: many at once, connections kept."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import aiosmtplib

from bench.sample import message

AT_ONCE = 4  # connections, each with one message under way: twice the cores
Send = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Door:
    """A way in: `run` sends the numbered messages over some connections until all are accepted."""

    name: str
    run: Callable[[Mapping[str, Any], range, int], Awaitable[None]]


async def by_api(status: Mapping[str, Any], numbers: range, connections: int) -> None:
    """Send through Postal's send/raw. Raises RuntimeError when one is refused."""
    author, domain = f"bench@{status['from_domain']}", status["recipient_domain"]
    headers = {"X-Server-API-Key": status["api_key"]}
    url = f"{status['api_url']}/api/v1/send/raw"
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:

        async def send(number: int) -> None:
            raw = base64.b64encode(message(author, number)).decode()
            to = [f"accept+{number}@{domain}"]
            body = {"mail_from": author, "rcpt_to": to, "data": raw}
            async with http.post(url, json=body) as answer:
                said = await answer.text()
            if '"status": "success"' not in said and '"status":"success"' not in said:
                raise RuntimeError(f"message {number} was refused: {answer.status} {said[:300]}")

        await _share(numbers, [send] * connections)


async def by_smtp(status: Mapping[str, Any], numbers: range, connections: int) -> None:
    """Send through the submission port: STARTTLS, AUTH, then one message after the other.

    Raises aiosmtplib.SMTPException when one is refused.
    """
    login = status["smtp"]
    author, domain = f"bench@{status['from_domain']}", status["recipient_domain"]
    sessions = [
        aiosmtplib.SMTP(
            hostname=login["host"],
            port=login["submission_port"],
            username=login["username"],
            password=login["password"],
            start_tls=True,
            tls_context=ssl.create_default_context(cafile=login["ca_file"]),
            timeout=120,
        )
        for _ in range(connections)
    ]

    def through(session: aiosmtplib.SMTP) -> Send:
        async def send(number: int) -> None:
            to = [f"accept+{number}@{domain}"]
            await session.sendmail(author, to, message(author, number))

        return send

    await asyncio.gather(*(session.connect() for session in sessions))
    try:
        await _share(numbers, [through(session) for session in sessions])
    finally:
        await asyncio.gather(*(session.quit() for session in sessions), return_exceptions=True)


async def _share(numbers: range, senders: list[Send]) -> None:
    waiting = iter(numbers)

    async def work(send: Send) -> None:
        for number in waiting:
            await send(number)

    async with asyncio.TaskGroup() as group:
        for send in senders:
            group.create_task(work(send))


DOORS = (Door("api_v1_send_raw", by_api), Door("smtp_submission", by_smtp))
