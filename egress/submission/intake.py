"""One session's messages: read from the connection, counted against memory, handed on."""

from dataclasses import dataclass

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_content import ChunkedContent, Content, Gathered
from egress.core.smtp_demand import TakeChunk, Transaction
from egress.core.smtp_dialogue import Dialogue
from egress.core.smtp_trace import Arrival
from egress.submission.acceptance import Envelope
from egress.submission.auth import Account
from egress.submission.office import Office
from egress.submission.receive import Wire


@dataclass(slots=True)
class Intake:
    """Reads messages. `session` names the session in the log."""

    office: Office
    dialogue: Dialogue
    wire: Wire
    session: str
    _chunks: ChunkedContent | None = None

    @property
    def is_between_chunks(self) -> bool:
        """Say whether part of a message is here and waits for the rest."""
        return self._chunks is not None

    async def content(self) -> Content:
        """Read what follows DATA. What it holds is the caller's to release, in the end."""
        self.wire.say(say.SEND_CONTENT)
        content = Content(self.office.limits.message_size, self.office.held.reserve)
        try:
            await self.wire.content(content)
        except BaseException:
            self.office.held.release(content.held)
            raise
        return content

    async def chunk(self, demand: TakeChunk) -> Answer | ChunkedContent:
        """Read a chunk; return the reply to it, or the whole message after the last one.

        What the message holds is then the caller's to release.
        """
        if demand.refusal is not None:
            await self.wire.octets(demand.size, lambda _: None)
            return demand.refusal
        if self._chunks is None:
            limit = self.office.limits.message_size
            self._chunks = ChunkedContent(limit, self.office.held.reserve)
        chunks = self._chunks
        await self.wire.octets(demand.size, chunks.feed)
        if chunks.refusal is not None:
            self.dialogue.closed()
            self.drop_chunks()
            return chunks.refusal
        if not demand.last:
            return answer(250, "2.0.0", f"{demand.size} octets received")
        self._chunks = None
        return chunks

    async def accept(self, message: Gathered, account: Account, address: str) -> Answer:
        """Make a message ours, or say why not; the transaction is over then."""
        transaction = self.dialogue.transaction
        if transaction is None:
            raise RuntimeError("content without a transaction")
        envelope = self._envelope(transaction, account, address)
        reply = await self.office.acceptance.take(envelope, message)
        self.dialogue.closed()
        return reply

    def drop_chunks(self) -> None:
        """Forget a message that was begun with BDAT and will not be ended."""
        if self._chunks is not None:
            self.office.held.release(self._chunks.held)
            self._chunks = None

    def _envelope(self, transaction: Transaction, account: Account, address: str) -> Envelope:
        arrival = Arrival(
            client=self.dialogue.client_name,
            address=address,
            extended=self.dialogue.extended,
            utf8=transaction.asked.utf8,
            secure=self.dialogue.is_secure,
            logged_in=self.dialogue.is_logged_in,
        )
        recipients = tuple(transaction.recipients)
        sender = transaction.asked.sender
        return Envelope(account, self.session, arrival, sender, recipients, transaction.dsn)
