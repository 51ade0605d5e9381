"""Whether one client may send: by its login, or else by its address."""

import asyncio
import logging
from collections.abc import Awaitable

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer
from egress.core.smtp_dialogue import Dialogue
from egress.core.smtp_login import Digest, Proof
from egress.submission.auth import Account
from egress.submission.office import Office

log = logging.getLogger(__name__)


class Entry:
    """One session's. `account` is what was opened last; `session` names it in the log."""

    def __init__(self, office: Office, dialogue: Dialogue, session: str) -> None:
        self._office = office
        self._dialogue = dialogue
        self._session = session
        self._proof: Proof | None = None
        self._owes_failure = False
        self.account: Account | None = None

    async def log_in(self, address: str, proof: Proof) -> Answer:
        """Answer AUTH; a failure is answered late, to slow down whoever guesses."""
        brakes = self._office.brakes
        refusal = brakes.refusal(address, proof)
        if refusal is not None:
            return refusal
        account = await self._asked(self._office.accounts.find(proof, address))
        if isinstance(account, Answer):
            return say.LOGIN_UNDECIDED
        if account is None:
            self._failed(address, proof)
            await asyncio.sleep(self._office.limits.login_failure_wait)
            return self._dialogue.login_failed()
        brakes.succeeded(address, proof)
        self._owes_failure = False
        self.account, self._proof = account, proof
        return self._dialogue.logged_in()

    def leave(self, address: str) -> None:
        """Count what is still to be counted; to be called when the session is over."""
        if self._owes_failure:
            self._owes_failure = False
            self._office.brakes.failed_at(address)

    def _failed(self, address: str, proof: Proof) -> None:
        """Count a failed login, the first digest for its user name alone until more is known.

        Python's smtplib and others try CRAM-MD5 wherever it is offered and the password after
        it: counted at once, twenty sessions of a program with a good password would lock it out.
        """
        brakes = self._office.brakes
        if isinstance(proof, Digest) and not self._owes_failure and not self._dialogue.failures:
            self._owes_failure = True
            brakes.failed_for(proof)
            return
        self.leave(address)
        brakes.failed(address, proof)

    async def for_message(self, address: str) -> Account | Answer:
        """Return who sends the next message, or the reply to MAIL that says nobody does.

        Looked up for each message: a long session must not outlive its credential.
        """
        accounts = self._office.accounts
        if self._dialogue.is_logged_in and self._proof is not None:
            found = await self._asked(accounts.find(self._proof, address))
        else:
            found = await self._asked(accounts.at(address))
        if isinstance(found, Answer):
            return found
        self.account = found
        return self._dialogue.not_let_in() if found is None else found

    async def _asked(self, question: Awaitable[Account | None]) -> Account | Answer | None:
        try:
            return await question
        except Exception:
            log.exception("account look-up failed", extra={"session": self._session})
            return say.TROUBLE
