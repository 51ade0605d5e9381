"""The submission dialogue as a state machine: a line in, a reply or a demand out.

It holds no socket, no clock and no chance. A demand is something only the world can do (TLS, a
look-up, reading a message); whoever drives the dialogue does it and says how it went.
"""

import re
from collections.abc import Callable, Mapping
from typing import ClassVar

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_command import Command, read_command, read_path
from egress.core.smtp_demand import (
    CheckLogin,
    Demand,
    OpenTransaction,
    StartTls,
    TakeChunk,
    TakeContent,
    Transaction,
)
from egress.core.smtp_limits import Limits
from egress.core.smtp_login import CRAM, MECHANISMS, Exchange, Proof, challenge
from egress.core.smtp_parameters import read_mail, read_recipient

_CHUNK = re.compile(r"([0-9]{1,18})(?: +(LAST))?\Z", re.IGNORECASE)


class Dialogue:
    """One session. `name` is ours, as greetings show it; with a `nonce`, which is random and
    drawn for each session, CRAM-MD5 is offered.
    """

    def __init__(self, name: str, limits: Limits, *, nonce: str = "") -> None:
        self._name = name
        self._limits = limits
        self._nonce = nonce
        self._exchange: Exchange | None = None
        self._commands = self._errors = self._logins = 0
        self.failures = 0
        self.client_name = ""
        self.extended = False
        self.is_secure = False
        self.is_logged_in = False
        self.transaction: Transaction | None = None
        self.transactions = 0

    def take(self, line: bytes) -> Answer | Demand:
        """Take one line without its CRLF: a command, or the response AUTH asked for."""
        self._commands += 1
        if self._commands > self._limits.commands:
            return say.TOO_MANY_COMMANDS
        if self._exchange is not None:
            return self._counted(self._response(self._exchange, line))
        command = read_command(line)
        if len(line) + 2 > self._longest(command):
            return self.overlong(line)
        if isinstance(command, Answer):
            return self._unread(line, command)
        return self._counted(self._decide(command))

    def overlong(self, start: bytes) -> Answer:
        """Refuse a line that is longer than any may be; `start` is how it begins."""
        in_login = self._exchange is not None or start[:5].upper() == b"AUTH "
        if in_login:
            self._exchange = None
            return self._counted_error(say.LOGIN_TOO_LONG)
        return self._unread(start, say.LINE_TOO_LONG)

    def malformed(self, start: bytes) -> Answer:
        """Refuse a line that ends in a bare LF; `start` is how it begins."""
        if self._exchange is None:
            return self._unread(start, say.MALFORMED_LINE)
        self._exchange = None
        return self._counted_error(say.MALFORMED_LINE)

    def secured(self) -> None:
        """Start over inside TLS: nothing said before counts (RFC 3207 section 4.2)."""
        self.is_secure = True
        self.client_name, self.extended, self.is_logged_in = "", False, False
        self.transaction, self._exchange = None, None

    def logged_in(self) -> Answer:
        """Note a successful login."""
        self.is_logged_in = True
        return say.LOGGED_IN

    def login_failed(self) -> Answer:
        """Note a failed login; all of them read the same, whatever was wrong."""
        self.failures += 1
        enough = self.failures >= self._limits.login_failures
        return say.TOO_MANY_FAILURES if enough else say.LOGIN_FAILED

    def not_let_in(self) -> Answer:
        """Note that neither a login nor the client's address lets it send, or not any more."""
        self.is_logged_in = False
        return say.NEEDS_LOGIN if self.is_secure else say.NEEDS_TLS

    def opened(self, asked: OpenTransaction, *, suspended: bool) -> Answer:
        """Open a transaction; recipients of a suspended server are refused one by one."""
        self.transactions += 1
        self.transaction = Transaction(asked, suspended)
        return say.SENDER_OK

    def closed(self) -> None:
        """End the transaction, however it went."""
        self.transaction = None

    def _longest(self, command: Command | Answer) -> int:
        verb = command.verb if isinstance(command, Command) else ""
        limits = self._limits
        longer = {"AUTH": limits.auth_line, "MAIL": limits.mail_line, "RCPT": limits.rcpt_line}
        return longer.get(verb, limits.command_line)

    def _unread(self, line: bytes, refusal: Answer) -> Answer:
        # Behind BDAT in a line that cannot be read there is a chunk all the same.
        is_chunk = line[:4].upper() == b"BDAT"
        return self._counted_error(say.BAD_CHUNK if is_chunk else refusal)

    def _counted(self, outcome: Answer | Demand) -> Answer | Demand:
        if isinstance(outcome, Answer) and outcome.is_protocol_error:
            return self._counted_error(outcome)
        return outcome

    def _counted_error(self, refusal: Answer) -> Answer:
        self._errors += 1
        return say.TOO_MANY_ERRORS if self._errors > self._limits.errors else refusal

    def _decide(self, command: Command) -> Answer | Demand:
        action = self._ACTIONS.get(command.verb)
        return say.UNKNOWN_COMMAND if action is None else action(self, command.argument)

    def _ehlo(self, argument: str) -> Answer:
        refusal = self._greeted(argument, extended=True)
        if refusal is not None:
            return refusal
        mechanisms = " ".join(("AUTH", *self._mechanisms()))
        extensions = ["PIPELINING", f"SIZE {self._limits.message_size}", "8BITMIME", "SMTPUTF8"]
        extensions += ["CHUNKING", "DSN", "ENHANCEDSTATUSCODES"]
        extensions += [mechanisms if self.is_secure else "STARTTLS"]
        return Answer(250, "", (self._name, *extensions))

    def _helo(self, argument: str) -> Answer:
        return self._greeted(argument, extended=False) or answer(250, "", self._name)

    def _greeted(self, argument: str, *, extended: bool) -> Answer | None:
        if not argument or " " in argument or len(argument) > 255:
            return say.BAD_ARGUMENT
        self.client_name, self.extended = argument, extended
        self.transaction = None
        return None

    def _starttls(self, argument: str) -> Answer | Demand:
        if argument:
            return say.BAD_ARGUMENT
        return say.TLS_ALREADY if self.is_secure else StartTls()

    def _mechanisms(self) -> tuple[str, ...]:
        return (*MECHANISMS, CRAM) if self._nonce else MECHANISMS

    def _auth(self, argument: str) -> Answer | Demand:
        if not self.is_secure:
            return say.NEEDS_TLS
        if not self.extended:
            return say.NEEDS_GREETING
        if self.is_logged_in or self.transaction is not None:
            return say.LOGIN_OUT_OF_ORDER
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() not in self._mechanisms():
            return say.UNKNOWN_MECHANISM if mechanism else say.BAD_ARGUMENT
        self._logins += 1
        asked = challenge(self._nonce, self._logins, self._name)
        exchange = Exchange(mechanism.upper(), asked)
        return self._exchanged(exchange, exchange.begin(initial.strip(" ")))

    def _response(self, exchange: Exchange, line: bytes) -> Answer | Demand:
        self._exchange = None
        if len(line) + 2 > self._limits.auth_line:
            return say.LOGIN_TOO_LONG
        if line == b"*":
            return say.LOGIN_CANCELLED
        return self._exchanged(exchange, exchange.respond(line.decode("latin-1")))

    def _exchanged(self, exchange: Exchange, outcome: Answer | Proof) -> Answer | Demand:
        if not isinstance(outcome, Answer):
            return CheckLogin(outcome)
        self._exchange = exchange if outcome.code == 334 else None
        return outcome

    def _mail(self, argument: str) -> Answer | Demand:
        # Whether this client may send at all is looked up: its address may do instead of a login.
        if not self.client_name:
            return say.NEEDS_GREETING
        if self.transaction is not None:
            return say.NESTED_SENDER
        path = read_path(argument, "FROM", say.BAD_SENDER)
        if isinstance(path, Answer):
            return path
        asked = read_mail(path, extended=self.extended, max_size=self._limits.message_size)
        if isinstance(asked, OpenTransaction) and self.transactions >= self._limits.transactions:
            return say.TOO_MANY_MESSAGES
        return asked

    def _out_of_order(self) -> Answer:
        """Return why there is no transaction; a client that was let in before knows the way."""
        if self.is_logged_in or self.transactions:
            return say.NEEDS_SENDER
        return self.not_let_in()

    def _rcpt(self, argument: str) -> Answer:
        transaction = self.transaction
        if transaction is None:
            return self._out_of_order()
        if transaction.in_chunks:
            return say.CHUNKS_BEGUN
        path = read_path(argument, "TO", say.BAD_RECIPIENT)
        if isinstance(path, Answer):
            return path
        found = read_recipient(path, extended=self.extended, utf8=transaction.asked.utf8)
        if isinstance(found, Answer):
            return found
        recipient, request = found
        if transaction.suspended:
            return say.SUSPENDED
        known = recipient in transaction.recipients
        if not known and len(transaction.recipients) >= self._limits.recipients:
            return say.TOO_MANY_RECIPIENTS
        transaction.recipients.setdefault(recipient, request)
        return say.RECIPIENT_OK

    def _data(self, argument: str) -> Answer | Demand:
        if argument:
            return say.BAD_ARGUMENT
        if self.transaction is None:
            return self._out_of_order()
        if self.transaction.in_chunks:
            return say.CHUNKS_BEGUN
        return TakeContent() if self.transaction.recipients else say.NO_RECIPIENTS

    def _bdat(self, argument: str) -> Answer | Demand:
        found = _CHUNK.match(argument)
        if found is None:
            return say.BAD_CHUNK
        size, last = int(found[1]), found[2] is not None
        if size > self._limits.chunk_size:
            return say.HUGE_CHUNK
        if self.transaction is None:
            return TakeChunk(size, last, self._out_of_order())
        if not self.transaction.recipients:
            # Ended, so that no later chunk is taken for a whole message.
            self.transaction = None
            return TakeChunk(size, last, say.NO_RECIPIENTS_FOR_CHUNK)
        self.transaction.in_chunks = True
        return TakeChunk(size, last)

    def _rset(self, argument: str) -> Answer:
        if argument:
            return say.BAD_ARGUMENT
        self.transaction = None
        return say.OK

    _ACTIONS: ClassVar[Mapping[str, Callable[["Dialogue", str], Answer | Demand]]] = {
        "EHLO": _ehlo,
        "HELO": _helo,
        "STARTTLS": _starttls,
        "AUTH": _auth,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "BDAT": _bdat,
        "RSET": _rset,
        "NOOP": lambda _, __: say.OK,
        "HELP": lambda _, __: say.HELP,
        "VRFY": lambda _, __: say.UNVERIFIED,
        "QUIT": lambda _, argument: say.BAD_ARGUMENT if argument else say.BYE,
    }
