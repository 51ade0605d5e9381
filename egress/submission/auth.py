"""Who a client is. The directory is synchronous, so it is asked in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from egress.core.smtp_login import Digest, Password, Proof
from mailroom.domain.message import Credential, Server
from mailroom.ports import Directory


@dataclass(frozen=True, slots=True)
class Account:
    """What a login or an address opened."""

    credential: Credential
    server: Server


class Accounts:
    """Looks credentials up; has its own threads, so that a flood of guesses delays no mail."""

    def __init__(self, directory: Directory, pool: Executor) -> None:
        self._directory = directory
        self._pool = pool

    async def find(self, proof: Proof) -> Account | None:
        """Return what `proof` opens, or None. Raises whatever the directory raises.

        As in Postal a password alone decides, whatever the user name; CRAM-MD5 needs the name.
        """
        return await self._ask(lambda: self._credential(proof))

    async def at(self, address: str) -> Account | None:
        """Return what the client's IP address opens without a login (Postal's SMTP-IP), or None.

        Raises whatever the directory raises.
        """
        return await self._ask(lambda: self._directory.address_credential(address))

    async def _ask(self, credential: Callable[[], Credential | None]) -> Account | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._account, credential)

    def _account(self, find: Callable[[], Credential | None]) -> Account | None:
        credential = find()
        server = self._directory.server(credential.server) if credential else None
        return Account(credential, server) if credential and server else None

    def _credential(self, proof: Proof) -> Credential | None:
        match proof:
            case Password(secret):
                return self._directory.credential(secret, "smtp") if secret else None
            case Digest(user):
                known = self._directory.cram_secrets(user)
                return next((c for c, secret in known if proof.is_made_with(secret)), None)
