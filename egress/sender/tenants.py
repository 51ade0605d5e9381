"""Who sends: the server, its signing key and the platform's keys, each kept for a minute.

The directory is read through the synchronous adapter in a thread: once a minute a tenant, it is
not worth a second adapter.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from egress.signer import SigningKey
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.domain.message import Server, Submission
from mailroom.domain.tracking_token import TrackingKey
from mailroom.domain.verp import VerpKey

FRESH_SECONDS = 60.0
_MAX_KEPT = 10_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a submission's copies are rendered and signed with.

    `signing_key` is None when the domain is not verified any more. `more_keys` sign as well.
    """

    server: Server
    signing_key: SigningKey | None
    return_path_domain: str
    more_keys: tuple[SigningKey, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformKeys:
    """The platform's current keys; `recipients` is empty where nobody was ever suppressed."""

    tracking: TrackingKey
    verp: VerpKey
    token: bytes
    recipients: bytes = b""


class Tenants:
    """Answers from memory, refreshed every 60 seconds."""

    def __init__(
        self,
        directory: DynamoDirectory,
        keyring: KmsKeyring,
        *,
        platform_return_path: str,
        clock: Callable[[], float],
    ) -> None:
        """Take a monotonic `clock` in seconds."""
        self._directory = directory
        self._keyring = keyring
        self._platform_return_path = platform_return_path
        self._clock = clock
        self._kept: dict[tuple[str, ...], tuple[float, Any]] = {}

    async def of(self, submission: Submission) -> Tenant | None:
        """Return the tenant of a submission; None if its server is gone."""
        place = ("tenant", submission.server, submission.sign_domain)
        return await self._fresh(place, lambda: self._read(submission))

    async def platform_keys(self) -> PlatformKeys:
        """Return the platform's keys. Raises LookupError if one was never made."""
        return await self._fresh(("platform",), self._read_keys)

    async def _fresh(self, place: tuple[str, ...], read: Callable[[], T]) -> T:
        now = self._clock()
        kept = self._kept.get(place)
        if kept is not None and now - kept[0] < FRESH_SECONDS:
            value: T = kept[1]
            return value
        fresh = await asyncio.to_thread(read)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[place] = (now, fresh)
        return fresh

    def _read(self, submission: Submission) -> Tenant | None:
        server = self._directory.server(submission.server)
        if server is None:
            return None
        domain = self._directory.sending_domain(server, submission.sign_domain)
        if domain is None:
            return Tenant(server, None, self._platform_return_path)
        keys = [
            SigningKey(domain.name, selector, self._keyring.unwrap(wrapped, domain.owner))
            for selector, wrapped in [
                (domain.selector, domain.wrapped_key),
                *((key.selector, key.wrapped_key) for key in domain.more_keys),
            ]
        ]
        return Tenant(
            server,
            keys[0],
            domain.return_path if domain.return_path_ok else self._platform_return_path,
            tuple(keys[1:]),
        )

    def _read_keys(self) -> PlatformKeys:
        tracking = self._directory.current_key("tracking")
        verp = self._directory.current_key("verp")
        return PlatformKeys(
            TrackingKey(tracking.kid, tracking.secret),
            VerpKey(verp.kid, verp.secret),
            self._directory.current_key("token").secret,
            next((key.secret for key in self._directory.keys("recipients").values()), b""),
        )
