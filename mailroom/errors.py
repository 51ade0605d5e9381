"""Caller's mistakes. What a remote server answers is data, never one of these."""

from collections.abc import Sequence


class MailroomError(Exception):
    """A caller's mistake. `code` is the stable name, `smtp` the reply an SMTP client gets."""

    code = "Error"
    smtp = "550 5.7.0 refused"


class InvalidRequestError(MailroomError):
    """The request itself is malformed: Postal's `parameter-error`."""

    code = "parameter-error"
    smtp = "554 5.6.0 malformed message"


class UnauthenticatedFromAddressError(MailroomError):
    """The From address is at no verified domain of the server or its organisation."""

    code = "UnauthenticatedFromAddress"
    smtp = "530 5.7.1 From/Sender name is not valid"


class MessageTooLargeError(InvalidRequestError):
    """The raw message is over the limit."""

    smtp = "552 5.3.4 message too large"


class MailLoopError(InvalidRequestError):
    """The message comes round and round to us: so say its Received fields."""

    smtp = "550 5.4.6 mail loop"


class ServerSuspendedError(MailroomError):
    """The server or its organisation is suspended."""

    code = "ServerSuspended"
    smtp = "535 5.7.0 mail server has been suspended"


class NumberTakenError(Exception):
    """Another submission holds the drawn number; draw again. Never leaves `accept`."""


class MessageNotFoundError(MailroomError):
    """There is no such message, or it is not stored any more."""

    code = "MessageNotFound"


class StateConflictError(MailroomError):
    """The message is in a state in which that cannot be done to it."""

    code = "MessageStateConflict"


class NotHeldError(StateConflictError):
    """The message is not held, so it cannot be released."""

    code = "MessageNotHeld"


class SendLimitExceededError(MailroomError):
    """The server has sent as many messages as it may. There is room at `retry_at` (Unix s)."""

    code = "SendLimitExceeded"
    smtp = "451 4.7.1 send limit exceeded, try again later"

    def __init__(self, message: str, *, retry_at: float = 0.0) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class LimitUnavailableError(Exception):
    """Nobody knows whether a server may send one more message: ask again later."""


class HandOverError(Exception):
    """The queue did not take a wake-up. No mail is lost by it: the watch row finds it."""


class BodyGoneError(Exception):
    """A raw message is not stored any more: its retention is over."""


class ConflictingJobError(MailroomError):
    """The job is in a state in which that cannot be asked of it."""

    code = "job_conflict"


class NotFoundError(MailroomError):
    """There is no such resource, or none that the caller may know of."""

    code = "not_found"


class ForeignEnvironmentError(NotFoundError):
    """The id was made by another deployment: a staging id in production, for instance."""

    code = "foreign_environment"


class AlreadyExistsError(MailroomError):
    """A value that must be unique is taken. `field` names it."""

    code = "already_exists"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RevisionError(MailroomError):
    """The resource has changed since the caller read it."""

    code = "changed_meanwhile"


class TooManyError(MailroomError):
    """The owner has as many resources of this kind as it may."""

    code = "too_many"


class ForbiddenError(MailroomError):
    """The caller may see this, but not do that."""

    code = "forbidden"


class RangeError(MailroomError):
    """A range of time is longer than there may be, or ends before it begins."""

    code = "range_not_possible"


class BrakeError(MailroomError):
    """What is asked of a server's brake makes no sense as it stands."""

    code = "brake_conflict"


class OrderError(MailroomError):
    """An operator's order cannot be obeyed as it stands."""

    code = "order_not_possible"


class DocumentError(MailroomError):
    """A document is not such that it can be published; `problems` are all that is wrong with it."""

    code = "document_not_valid"

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class LastOneError(MailroomError):
    """Somebody has to stay: an organisation's last owner, the platform's last administrator."""

    code = "last_one"


class InvitationError(MailroomError):
    """The invitation is unknown, revoked, used or over; which of these, nobody is told."""

    code = "invitation_not_valid"


class DomainError(MailroomError):
    """A domain, its DNS or its keys are not such that this can be done."""

    code = "domain_conflict"


class KeyUnfitError(MailroomError):
    """The private key is none that DKIM signatures can be made with."""

    code = "key_unfit"


class NoSecretError(MailroomError):
    """The credential has no secret to be changed."""

    code = "no_secret"
