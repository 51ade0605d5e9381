"""The submission dialogue as a state machine: a line in, a reply or a demand out.

It holds no socket and no clock. A demand is something only the world can do (TLS, a look-up,
reading a message); whoever drives the dialogue does it and says how it went.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from egress.core import smtp_answer as say
from egress.core.smtp_answer import Answer, answer
from egress.core.smtp_command import Command, MailPath, read_command, read_password, read_path
from egress.core.smtp_limits import Limits
from mailroom.domain.address import Address, MalformedAddressError, parse_address


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer 220, forget what is already read, do the handshake; then `secured`."""


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Find out what `password` opens; then `logged_in` or `login_failed`."""

    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """Find out whether the server may send; then `opened`."""

    sender: str


@dataclass(frozen=True, slots=True)
class TakeContent:
    """Answer 354 and read the message; then `closed`."""


Demand = StartTls | CheckPassword | OpenTransaction | TakeContent


@dataclass(slots=True)
class Transaction:
    """An open mail transaction. Recipients are in order, each once."""

    sender: str
    suspended: bool
    recipients: dict[Address, None] = field(default_factory=dict)


class Dialogue:
    """One session. `name` is ours, as greetings show it."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name = name
        self._limits = limits
        self._waits_for_response = False
        self._commands = self._errors = self._failures = 0
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
        if self._waits_for_response:
            return self._counted(self._response(line))
        command = read_command(line)
        if len(line) + 2 > self._longest(command):
            return self.overlong(line)
        return self._counted(command if isinstance(command, Answer) else self._decide(command))

    def overlong(self, start: bytes) -> Answer:
        """Refuse a line that is longer than any may be; `start` is how it begins."""
        in_login = self._waits_for_response or start[:5].upper() == b"AUTH "
        self._waits_for_response = False
        return self._counted_error(say.LOGIN_TOO_LONG if in_login else say.LINE_TOO_LONG)

    def malformed(self) -> Answer:
        """Refuse a line that ends in a bare LF."""
        self._waits_for_response = False
        return self._counted_error(say.MALFORMED_LINE)

    def secured(self) -> None:
        """Start over inside TLS: nothing said before counts (RFC 3207 section 4.2)."""
        self.is_secure = True
        self.client_name, self.extended, self.is_logged_in = "", False, False
        self.transaction = None

    def logged_in(self) -> Answer:
        """Note a successful login."""
        self.is_logged_in = True
        return say.LOGGED_IN

    def login_failed(self) -> Answer:
        """Note a failed login; all of them read the same, whatever was wrong."""
        self._failures += 1
        enough = self._failures >= self._limits.login_failures
        return say.TOO_MANY_FAILURES if enough else say.LOGIN_FAILED

    def logged_out(self) -> Answer:
        """Note that the secret opens nothing any more."""
        self.is_logged_in = False
        return say.NEEDS_LOGIN

    def opened(self, sender: str, *, suspended: bool) -> Answer:
        """Open a transaction; recipients of a suspended server are refused one by one."""
        self.transactions += 1
        self.transaction = Transaction(sender, suspended)
        return say.SENDER_OK

    def closed(self) -> None:
        """End the transaction, however it went."""
        self.transaction = None

    def _longest(self, command: Command | Answer) -> int:
        verb = command.verb if isinstance(command, Command) else ""
        longer = {"AUTH": self._limits.auth_line, "MAIL": self._limits.mail_line}
        return longer.get(verb, self._limits.command_line)

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
        extensions = ["PIPELINING", f"SIZE {self._limits.message_size}", "8BITMIME"]
        extensions += ["ENHANCEDSTATUSCODES", "AUTH PLAIN" if self.is_secure else "STARTTLS"]
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

    def _auth(self, argument: str) -> Answer | Demand:
        if not self.is_secure:
            return say.NEEDS_TLS
        if not self.extended:
            return say.NEEDS_GREETING
        if self.is_logged_in or self.transaction is not None:
            return say.LOGIN_OUT_OF_ORDER
        mechanism, _, response = argument.partition(" ")
        if mechanism.upper() != "PLAIN":
            return say.UNKNOWN_MECHANISM if mechanism else say.BAD_ARGUMENT
        if not response:
            self._waits_for_response = True
            return say.GO_ON
        return self._password(response)

    def _response(self, line: bytes) -> Answer | Demand:
        self._waits_for_response = False
        if len(line) + 2 > self._limits.auth_line:
            return say.LOGIN_TOO_LONG
        if line == b"*":
            return say.LOGIN_CANCELLED
        return self._password(line.decode("latin-1"))

    def _password(self, response: str) -> Answer | Demand:
        password = read_password(response)
        return password if isinstance(password, Answer) else CheckPassword(password)

    def _mail(self, argument: str) -> Answer | Demand:
        refusal = self._not_ready()
        if refusal is not None:
            return refusal
        if self.transaction is not None:
            return say.NESTED_SENDER
        path = read_path(argument, "FROM", say.BAD_SENDER)
        if isinstance(path, Answer):
            return path
        refusal = self._refused_parameters(path.parameters)
        if refusal is None and self.transactions >= self._limits.transactions:
            refusal = say.TOO_MANY_MESSAGES
        return refusal or OpenTransaction(path.address)

    def _not_ready(self) -> Answer | None:
        if not self.is_secure:
            return say.NEEDS_TLS
        if not self.client_name:
            return say.NEEDS_GREETING
        return None if self.is_logged_in else say.NEEDS_LOGIN

    def _refused_parameters(self, parameters: Mapping[str, str]) -> Answer | None:
        if not parameters.keys() <= {"SIZE", "BODY", "AUTH"}:
            return say.UNKNOWN_PARAMETER
        size = parameters.get("SIZE", "0")
        if not size.isdigit() or len(size) > 20:
            return say.BAD_ARGUMENT
        if int(size) > self._limits.message_size:
            return say.TOO_LARGE
        if parameters.get("BODY", "7BIT").upper() not in {"7BIT", "8BITMIME"}:
            return say.BAD_ARGUMENT
        return None

    def _rcpt(self, argument: str) -> Answer:
        if self.transaction is None:
            return self._not_ready() or say.NEEDS_SENDER
        path = read_path(argument, "TO", say.BAD_RECIPIENT)
        if isinstance(path, Answer):
            return path
        return self._recipient(self.transaction, path)

    def _recipient(self, transaction: Transaction, path: MailPath) -> Answer:
        if path.parameters:
            return say.UNKNOWN_PARAMETER
        try:
            recipient = parse_address(path.address)
        except MalformedAddressError:
            return say.BAD_RECIPIENT
        if transaction.suspended:
            return say.SUSPENDED
        known = recipient in transaction.recipients
        if not known and len(transaction.recipients) >= self._limits.recipients:
            return say.TOO_MANY_RECIPIENTS
        transaction.recipients[recipient] = None
        return say.RECIPIENT_OK

    def _data(self, argument: str) -> Answer | Demand:
        if argument:
            return say.BAD_ARGUMENT
        if self.transaction is None:
            return self._not_ready() or say.NEEDS_SENDER
        return TakeContent() if self.transaction.recipients else say.NO_RECIPIENTS

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
        "RSET": _rset,
        "NOOP": lambda _, __: say.OK,
        "HELP": lambda _, __: say.HELP,
        "VRFY": lambda _, __: say.UNVERIFIED,
        "QUIT": lambda _, argument: say.BAD_ARGUMENT if argument else say.BYE,
    }
