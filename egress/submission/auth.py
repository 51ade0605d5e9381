"""Who a password belongs to. The directory is synchronous, so it is asked in threads."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

from mailroom.domain.message import Credential, Server
from mailroom.ports import Directory


@dataclass(frozen=True, slots=True)
class Account:
    """What a password opened."""

    credential: Credential
    server: Server


class Accounts:
    """Looks passwords up; has its own threads, so that a flood of guesses delays no mail."""

    def __init__(self, directory: Directory, pool: Executor) -> None:
        self._directory = directory
        self._pool = pool

    async def find(self, password: str) -> Account | None:
        """Return what `password` opens, or None. Raises whatever the directory raises.

        As in Postal the user name means nothing: the password is the SMTP credential.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._find, password)

    def _find(self, password: str) -> Account | None:
        credential = self._directory.credential(password, "smtp") if password else None
        server = self._directory.server(credential.server) if credential else None
        return Account(credential, server) if credential and server else None
