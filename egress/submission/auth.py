"""Who a client is. The directory is synchronous, so it is asked in threads."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from egress.core.smtp_login import Digest, Password, Proof
from mailroom.domain.credential_use import refusal
from mailroom.domain.message import SEND_SCOPE, Credential, Server
from mailroom.ports import Directory
from mailroom.ports.last_use import LastUse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """What a login or an address opened."""

    credential: Credential
    server: Server


class Accounts:
    """Looks credentials up; has its own threads, so that a flood of guesses delays no mail."""

    def __init__(
        self,
        directory: Directory,
        pool: Executor,
        *,
        now: Callable[[], float],
        last_use: LastUse | None = None,
    ) -> None:
        """Take the clock in Unix seconds; `last_use` hears of each credential that let in."""
        self._directory = directory
        self._pool = pool
        self._now = now
        self._last_use = last_use

    async def find(self, proof: Proof, address: str) -> Account | None:
        """Return what `proof` opens for a client at the IP `address`, or None.

        As in Postal a password alone decides, whatever the user name; CRAM-MD5 needs the name.
        Raises whatever the directory raises.
        """
        return await self._ask(lambda: self._credential(proof), address)

    async def at(self, address: str) -> Account | None:
        """Return what the client's IP address opens without a login (Postal's SMTP-IP), or None.

        Raises whatever the directory raises.
        """
        return await self._ask(lambda: self._directory.address_credential(address), address)

    async def _ask(
        self, credential: Callable[[], Credential | None], address: str
    ) -> Account | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._account, credential, address)

    def _account(self, find: Callable[[], Credential | None], address: str) -> Account | None:
        credential = find()
        if credential is None:
            return None
        now = self._now()
        refused = refusal(credential, address=address, now=now, scope=SEND_SCOPE)
        if refused is not None:
            # The client is told no more than of a wrong secret; its operator reads it here.
            log.info("credential refused", extra={"credential": credential.id, "reason": refused})
            return None
        server = self._directory.server(credential.server)
        if server is not None and self._last_use is not None:
            self._last_use.used(credential.id, now)
        return Account(credential, server) if server else None

    def _credential(self, proof: Proof) -> Credential | None:
        match proof:
            case Password(secret):
                return self._directory.credential(secret, "smtp") if secret else None
            case Digest(user):
                known = self._directory.cram_secrets(user)
                return next((c for c, secret in known if proof.is_made_with(secret)), None)
