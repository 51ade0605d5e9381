"""From a received message to the reply behind its final dot.

The use case is synchronous and runs in threads. Its result stands whatever the connection does
meanwhile: a client that hangs up before it reads the reply has sent its mail all the same.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from egress.core.smtp_answer import TROUBLE, Answer, answer, answer_of
from egress.core.smtp_content import Gathered
from egress.core.smtp_trace import Arrival, received_field
from egress.submission.auth import Account
from egress.submission.limits import HeldOctets
from mailroom.domain.address import Address
from mailroom.domain.dsn_request import DsnRequest, dump
from mailroom.errors import MailroomError
from mailroom.usecases.accept import Accepted, Parcel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of a message before its content."""

    account: Account
    session: str
    arrival: Arrival
    sender: str
    recipients: tuple[Address, ...]
    dsn: DsnRequest = field(default_factory=DsnRequest)


class Acceptance:
    """Makes messages ours. `now` gives Unix seconds, `new_id` a short unique text."""

    def __init__(
        self,
        accept: Callable[[Parcel], Accepted],
        pool: Executor,
        *,
        host: str,
        held: HeldOctets,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._accept = accept
        self._pool = pool
        self._host = host
        self._held = held
        self._now = now
        self._new_id = new_id
        self._tasks: set[asyncio.Task[Answer]] = set()

    async def take(self, envelope: Envelope, content: Gathered) -> Answer:
        """Accept or refuse; a positive reply means the mail is ours.

        Cancelling the caller stops neither the acceptance nor its log line.
        """
        task = asyncio.create_task(self._take(envelope, content), name="accept")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def settle(self, seconds: float) -> None:
        """Wait until no acceptance is under way, but no longer than `seconds`."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _take(self, envelope: Envelope, content: Gathered) -> Answer:
        loop = asyncio.get_running_loop()
        began, id_ = loop.time(), self._new_id()
        try:
            reply = await loop.run_in_executor(self._pool, self._decide, envelope, content, id_)
        except Exception:
            log.exception("acceptance failed", extra={"message_id": id_})
            reply = TROUBLE
        finally:
            self._held.release(content.held)
        log.info(
            "message",
            extra={
                "message_id": id_,
                "session": envelope.session,
                "server": envelope.account.server.id,
                "credential": envelope.account.credential.id,
                "sender": envelope.sender,
                "recipients": len(envelope.recipients),
                "octets": content.held,
                "reply": str(reply),
                "seconds": round(loop.time() - began, 4),
            },
        )
        return reply

    def _decide(self, envelope: Envelope, content: Gathered, id_: str) -> Answer:
        message = content.message()
        if isinstance(message, Answer):
            return message
        trace = received_field(
            envelope.arrival,
            host=self._host,
            id_=id_,
            now=self._now(),
            private=envelope.account.server.privacy,
        )
        try:
            accepted = self._accept(
                Parcel(
                    server=envelope.account.server,
                    credential=envelope.account.credential,
                    source="smtp",
                    mail_from=envelope.sender,
                    recipients=envelope.recipients,
                    raw=trace + message,
                    received_with_ssl=envelope.arrival.secure,
                    utf8=envelope.arrival.utf8,
                    dsn=dump(envelope.dsn),
                )
            )
        except MailroomError as error:
            return answer_of(error.smtp, str(error))
        return _queued(accepted)


def _queued(accepted: Accepted) -> Answer:
    """Say under which ids of Postal's API the deliveries are found."""
    ids = [delivery.key.postal_id for delivery in accepted.deliveries]
    text = f"{ids[0]}" if len(ids) == 1 else f"{ids[0]} to {ids[-1]}"
    return answer(250, "2.0.0", f"Ok: queued as {text}")
