"""What the submission dialogue asks of the world, and the transaction it keeps meanwhile."""

from dataclasses import dataclass, field

from egress.core.smtp_answer import Answer
from egress.core.smtp_login import Proof
from mailroom.domain.address import Address
from mailroom.domain.dsn_request import DsnRequest, RecipientRequest


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer 220, forget what is already read, do the handshake; then `secured`."""


@dataclass(frozen=True, slots=True)
class CheckLogin:
    """Find out what `proof` opens; then `logged_in` or `login_failed`."""

    proof: Proof


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """Find out who sends, by login or by address, and whether it may; then `opened` or
    `not_let_in`. `returned` and `envelope_id` are RFC 3461's RET and ENVID.
    """

    sender: str
    utf8: bool = False
    returned: str = ""
    envelope_id: str = ""


@dataclass(frozen=True, slots=True)
class TakeContent:
    """Answer 354 and read the message; then `closed`."""


@dataclass(frozen=True, slots=True)
class TakeChunk:
    """Read `size` octets (RFC 3030). With a `refusal` drop them and answer that; else answer
    each chunk, and the whole message behind the `last`; `closed` after that or any failure.
    """

    size: int
    last: bool
    refusal: Answer | None = None


Demand = StartTls | CheckLogin | OpenTransaction | TakeContent | TakeChunk


@dataclass(slots=True)
class Transaction:
    """An open mail transaction. Recipients are in order, each once."""

    asked: OpenTransaction
    suspended: bool
    recipients: dict[Address, RecipientRequest] = field(default_factory=dict)
    in_chunks: bool = False  # BDAT has begun: no DATA and no more recipients

    @property
    def dsn(self) -> DsnRequest:
        """What is asked of delivery reports."""
        requests = tuple(self.recipients.values())
        return DsnRequest(self.asked.returned, self.asked.envelope_id, requests)
