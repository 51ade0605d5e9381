"""An operation of the API, a call of it, and what comes of a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from mailroom.domain.tenancy.access import Actor, Principal, Scope, Target

if TYPE_CHECKING:
    from mail_api.v2.desk import Desk

ROOT = "/api/v2"


class ApiError(Exception):
    """A refusal with its HTTP status and a code that programs may rely on.

    `fields` names what is wrong with which part of the request.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        fields: tuple[Mapping[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = fields
        self.headers = dict(headers or {})


def invalid(path: str, message: str, code: str = "invalid") -> ApiError:
    """Return the refusal of one field whose value cannot be used."""
    return ApiError(
        422,
        "validation_failed",
        "The request has fields that cannot be used",
        fields=({"path": path, "message": message, "code": code},),
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gives when it is not just a value: another status, headers, octets.

    `body` is a value of the operation's answer model (or what it can be made from), text or
    octets for another content type, None for no content.
    """

    body: Any = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    revision: int | None = None  # becomes the ETag


@dataclass(frozen=True, slots=True)
class Call:
    """One request that passed authentication, authorisation and validation.

    `target` has the ids of the organisation and the server it is about; `body` and `query` are
    instances of the operation's models; `raw` are the octets of a body that is no JSON.
    """

    desk: "Desk"
    principal: Principal
    target: Target
    path: Mapping[str, str]
    body: Any
    query: Any
    raw: bytes
    headers: Mapping[str, str]
    request_id: str
    address: str

    @property
    def actor(self) -> Actor:
        """Who calls, for the audit log."""
        who = self.principal
        return Actor(str(who.kind), who.id, who.name, self.request_id, self.address)

    @property
    def parent(self) -> str:
        """What the call's resources hang on: the server, else the organisation, else nothing."""
        if self.target.server:
            return f"server#{self.target.server}"
        if self.target.organisation:
            return f"organisation#{self.target.organisation}"
        return "platform"

    def require(self, scope: Scope) -> None:
        """See that the caller may also do what needs `scope` here. Raises ForbiddenError."""
        self.desk.authorise(self.principal, scope, self.target)


Act = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One entry of the table.

    `path` follows `/api/v2`. `{organisation}` and `{server}` in it are what authorisation looks
    at; what is left of a path with neither is the platform's. `scope` None lets every
    authenticated caller in (`/me`); `public` needs no key at all. `flat` says that the target
    is the caller's own server or organisation, whatever key it has. `takes` is the content type
    of the body, `gives` that of the answer. A `secret` answer is shown once: for a repetition with
    the same Idempotency-Key it is kept encrypted.
    """

    id: str
    method: str
    path: str
    summary: str
    call: Act
    scope: Scope | None
    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    description: str = ""
    takes: str = "application/json"
    gives: str = "application/json"
    public: bool = False
    flat: str = ""  # "server" or "organisation"
    secret: bool = False
    max_body: int = 1024 * 1024

    @property
    def full_path(self) -> str:
        """The path from the host's root."""
        return ROOT + self.path

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in the path, in order."""
        parts = self.path.split("/")
        return tuple(part[1:-1] for part in parts if part.startswith("{"))

    @property
    def writes(self) -> bool:
        """Whether it changes something, and so honours an Idempotency-Key."""
        return self.method != "GET"
