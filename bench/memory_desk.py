"""A sender's desk over memory: everything real but AWS. For benchmarks only."""

import asyncio
import os
import secrets
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from egress.aws.deliveries import ClaimAsk
from egress.aws.lane import Received
from egress.faults import NoFaults
from egress.journal import Journal
from egress.sender.attempt import Desk
from egress.sender.copies import Copier, Submissions
from egress.sender.recorder import Recorder
from egress.sender.tenants import PlatformKeys, Tenant
from egress.signer import Signer, SigningKey
from mailroom.domain.event import Event
from mailroom.domain.lifecycle import CLAIMABLE, FINAL, State
from mailroom.domain.message import (
    BodyRef,
    Delivery,
    DeliveryKey,
    Server,
    ServerId,
    Submission,
    Tracking,
    WakeUp,
)
from mailroom.domain.retry import RetryPolicy
from mailroom.domain.tracking_token import TrackingKey
from mailroom.domain.verp import VerpKey
from mailroom.usecases.accept import INLINE_OCTETS

SERVER = Server(
    ServerId("abcdefghij"), "org", "Bench", "bench", "abc123", Tracking("https://track.example")
)
DOMAIN = "demo.mailroom.test"


class MemoryMail:
    """Deliveries, submissions and the queue of one benchmark, all of them in memory."""

    def __init__(self, count: int, body: bytes) -> None:
        self.deliveries = {key: _delivery(key) for key in map(_key, range(count))}
        self._body = body
        packed = zlib.compress(body, 6)
        # As acceptance stores it: small ones with the submission, the others in a bucket.
        is_small = len(packed) <= INLINE_OCTETS
        self._stored = BodyRef(inline=packed) if is_small else BodyRef(key="bench")
        self._queue = [WakeUp(key, 0, d.recipient) for key, d in self.deliveries.items()]
        self.left = count
        self.done = asyncio.Event()

    async def receive(self, most: int) -> Sequence[Received]:
        """See intake.Intake."""
        batch, self._queue = self._queue[:most], self._queue[most:]
        if not batch:
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        return [Received("receipt", wake_up) for wake_up in batch]

    async def acknowledge(self, receipt: str) -> bool:
        """See intake.Intake."""
        return bool(receipt)

    async def give_back(self, receipt: str) -> bool:
        """See intake.Intake."""
        return bool(receipt)

    async def claim(self, ask: ClaimAsk) -> Delivery | None:
        """See attempt.Book."""
        delivery = self.deliveries[ask.wake_up.key]
        if delivery.state not in CLAIMABLE or delivery.generation != ask.wake_up.generation:
            return None
        claimed = replace(delivery, state=State.ATTEMPTING, claim=ask.claim, claim_until=ask.until)
        self.deliveries[delivery.key] = claimed
        return claimed

    async def settle(self, claim: str, after: Delivery, event: Event) -> bool:
        """See attempt.Book."""
        if self.deliveries[after.key].claim != claim or event.key != after.key:
            return False
        self.deliveries[after.key] = after
        if after.state in FINAL:
            self.left -= 1
            if self.left == 0:
                self.done.set()
        return True

    async def correct(self, claim: str, after: Delivery, event: Event) -> Delivery | None:
        """See attempt.Book. Nobody gives a claim up here."""
        sys.exit(f"{claim} was lost: {event.id}, {after.state}")

    async def get(self, key: DeliveryKey) -> Delivery | None:
        """See attempt.Book."""
        return self.deliveries.get(key)

    async def release(
        self,
        claim: str,
        key: DeliveryKey,
        back_to: State,
        generation: int,
        due_at: float | None = None,
    ) -> bool:
        """See attempt.Book."""
        delivery = self.deliveries[key]
        self.deliveries[key] = replace(
            delivery,
            state=back_to,
            generation=generation,
            claim=None,
            claim_until=None,
            due_at=delivery.due_at if due_at is None else due_at,
        )
        return delivery.claim == claim

    async def submission(self, server: ServerId, number: int) -> Submission | None:
        """See copies.Submissions. Each message is a submission of its own."""
        return Submission(
            server=server,
            number=number,
            accepted_at=0.0,
            expires_at=1e12,
            mail_from=f"bench@{DOMAIN}",
            from_address=f"bench@{DOMAIN}",
            sign_domain=DOMAIN,
            subject="Benchmark",
            message_id=None,
            tag=None,
            size=len(self._body),
            recipients=1,
            source="bench",
            bounce=False,
            body=self._stored,
        )

    async def body(self) -> bytes:
        """Return the raw message."""
        return self._body


class _Bodies:
    def __init__(self, mail: MemoryMail) -> None:
        self._mail = mail

    async def get(self, body: BodyRef) -> bytes:
        if body.inline is not None:
            return zlib.decompress(body.inline)
        return await self._mail.body()


class MemoryTenants:
    """One server with a key of its own. It rewrites links and adds the pixel only if `links`."""

    def __init__(self, *, links: bool) -> None:
        server = SERVER if links else replace(SERVER, tracking=None)
        key = rsa.generate_private_key(65537, 2048)
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._tenant = Tenant(server, SigningKey(DOMAIN, "bench", der), f"psrp.{DOMAIN}")
        secret = b"k" * 32
        self._keys = PlatformKeys(TrackingKey("a", secret), VerpKey("a", secret), secret)

    async def of(self, submission: Submission) -> Tenant | None:
        """See copies.TenantSource."""
        assert submission.server == SERVER.id
        return self._tenant

    async def platform_keys(self) -> PlatformKeys:
        """See copies.TenantSource."""
        return self._keys


def desk_over(
    mail: MemoryMail, submissions: Submissions, tenants: MemoryTenants, journal: Journal
) -> Desk:
    """Return a desk that renders, signs and journals for real."""

    async def wake(wake_up: WakeUp, delay: float) -> bool:
        # The sink refuses nothing: a deferral means the benchmark itself is broken.
        broken(f"{wake_up.key} was deferred by {delay} s")

    return Desk(
        book=mail,
        journal=journal,
        copier=Copier(
            submissions=submissions,
            bodies=_Bodies(mail),
            tenants=tenants,
            signer=Signer(clock=time.time),
        ),
        wake=wake,
        settled=Recorder(mail, journal, wake, time.time),
        policy=RetryPolicy(),
        faults=NoFaults(),
        now=time.time,
        monotonic=time.monotonic,
        jitter=lambda: 0.0,
        new_id=lambda: secrets.token_hex(16),
    )


def broken(why: str) -> NoReturn:
    """End the process at once: tasks would go on with a figure that means nothing."""
    sys.stderr.write(f"the benchmark is broken: {why}\n")
    sys.stderr.flush()
    os._exit(1)


def _key(number: int) -> DeliveryKey:
    return DeliveryKey(SERVER.id, number + 1, 0)


def _delivery(key: DeliveryKey) -> Delivery:
    return Delivery(key, f"accept+{key.number}@sink.test", State.QUEUED, 0.0, 1e12)
