"""Fetches MTA-STS policies (RFC 8461 section 3.3), in threads of its own.

A slow web server must not take the threads that the sending of mail waits for.
"""

import asyncio
import http.client
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from egress.core.mx import Addresses
from mailroom.adapters.guarded_http import GuardedHttp
from mailroom.domain.transport.sts import MAX_POLICY, StsError, StsPolicy, parse_sts_policy
from mailroom.domain.transport.tls_result import TlsResult
from mailroom.domain.webhook_target import Target

TIMEOUT = 20.0  # seconds for the whole call
MAX_WAITING = 200  # fetches under way or waiting for a thread; further ones fail at once
_THREADS = 8
_TURN = 10.0  # seconds a fetch may wait for a thread
_OK = 200


class StsFetchError(Exception):
    """There is no policy to be had; `result` is what a report calls that."""

    def __init__(self, result: TlsResult, problem: str) -> None:
        super().__init__(problem)
        self.result = result


class AddressBook(Protocol):
    """Looks up addresses (egress.resolver fulfils it)."""

    async def addresses(self, host: str) -> Addresses:
        """Return the addresses of `host`."""


class StsFetcher:
    """GETs policies from public addresses, and private ones inside `networks` (CIDR)."""

    def __init__(
        self,
        dns: AddressBook,
        *,
        networks: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        port: int = 443,
        timeout: float = TIMEOUT,
    ) -> None:
        """Take the context that certificates are checked by, and seconds for one whole call."""
        self._dns = dns
        self._networks = networks
        self._tls = tls or ssl.create_default_context()
        self._port = port
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sts")
        self._waiting = 0

    async def fetch(self, domain: str) -> StsPolicy:
        """Return the policy that `domain` (A-labels) publishes now. Raises StsFetchError."""
        if self._waiting >= MAX_WAITING:
            raise StsFetchError(TlsResult.STS_POLICY_FETCH_ERROR, "too many fetches at once")
        self._waiting += 1
        try:
            octets = await self._fetched(f"mta-sts.{domain}")
            return parse_sts_policy(octets)
        except StsError as error:
            raise StsFetchError(TlsResult.STS_POLICY_INVALID, str(error)) from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads, those still at work when their time is over."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetched(self, host: str) -> bytes:
        addresses = (await self._dns.addresses(host)).addresses
        if not addresses:
            raise StsFetchError(TlsResult.STS_POLICY_FETCH_ERROR, f"{host} has no address")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout + _TURN):
                return await loop.run_in_executor(self._threads, self._get, host, addresses)
        except TimeoutError:
            problem = "no thread came free for it"
            raise StsFetchError(TlsResult.STS_POLICY_FETCH_ERROR, problem) from None

    def _get(self, host: str, addresses: Sequence[str]) -> bytes:
        http_ = GuardedHttp(
            self._networks, timeout=self._timeout, resolve=lambda *_: addresses, tls=self._tls
        )
        target = Target("https", host, self._port, "/.well-known/mta-sts.txt")
        try:
            answered = http_.call("GET", target, {"Accept": "text/plain"}, most=MAX_POLICY + 1)
        except ssl.SSLCertVerificationError as error:
            raise StsFetchError(TlsResult.STS_WEBPKI_INVALID, error.verify_message) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
            raise StsFetchError(TlsResult.STS_POLICY_FETCH_ERROR, problem) from error
        if answered.status != _OK:  # a redirect is not followed, section 3.3
            problem = f"the status is {answered.status}"
            raise StsFetchError(TlsResult.STS_POLICY_FETCH_ERROR, problem)
        if answered.headers.get_content_type() != "text/plain":
            raise StsFetchError(TlsResult.STS_POLICY_INVALID, "it is not text/plain")
        return answered.octets
