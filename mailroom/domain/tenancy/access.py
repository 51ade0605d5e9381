"""Who may do what: scopes, roles, and the one decision that every call is put to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ALL = "*"


class Scope(StrEnum):
    """What a key or a role may do. Values are stored; never rename them."""

    MESSAGES_SEND = "messages:send"
    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"  # retry, release, cancel
    SERVERS_READ = "servers:read"
    SERVERS_WRITE = "servers:write"
    CREDENTIALS_READ = "credentials:read"
    CREDENTIALS_WRITE = "credentials:write"
    DOMAINS_READ = "domains:read"
    DOMAINS_WRITE = "domains:write"
    ROUTES_READ = "routes:read"  # routes and their endpoints
    ROUTES_WRITE = "routes:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    SUPPRESSIONS_READ = "suppressions:read"
    SUPPRESSIONS_WRITE = "suppressions:write"
    TEMPLATES_READ = "templates:read"
    TEMPLATES_WRITE = "templates:write"
    STATISTICS_READ = "statistics:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    POOLS_READ = "pools:read"
    POOLS_WRITE = "pools:write"  # rules that choose a pool
    ORGANISATIONS_READ = "organisations:read"
    ORGANISATIONS_WRITE = "organisations:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    RECIPIENTS_READ = "recipients:read"  # all that is known of one person
    RECIPIENTS_WRITE = "recipients:write"
    AUDIT_READ = "audit:read"
    PLATFORM = "platform"  # what only a platform administrator does


class Role(StrEnum):
    """What a member is in an organisation. Values are stored; never rename them."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    READ_ONLY = "read-only"
    SUPPORT = "support"


_READS = frozenset(scope for scope in Scope if scope.endswith(":read"))
_SUPPORT_READS = _READS - {Scope.CREDENTIALS_READ, Scope.KEYS_READ, Scope.RECIPIENTS_READ}
# Of the organisation itself, its people and its keys a developer reads, but changes nothing.
_DEVELOPER_WRITES = frozenset(
    {
        Scope.MESSAGES_SEND,
        Scope.MESSAGES_WRITE,
        Scope.CREDENTIALS_WRITE,
        Scope.DOMAINS_WRITE,
        Scope.ROUTES_WRITE,
        Scope.WEBHOOKS_WRITE,
        Scope.SUPPRESSIONS_WRITE,
        Scope.TEMPLATES_WRITE,
        Scope.JOBS_WRITE,
    }
)
_ALL_BUT_PLATFORM = frozenset(Scope) - {Scope.PLATFORM}

ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.OWNER: _ALL_BUT_PLATFORM,
    Role.ADMIN: _ALL_BUT_PLATFORM,
    Role.DEVELOPER: (_READS - {Scope.KEYS_READ, Scope.RECIPIENTS_READ}) | _DEVELOPER_WRITES,
    Role.READ_ONLY: _READS - {Scope.KEYS_READ, Scope.RECIPIENTS_READ},
    Role.SUPPORT: _SUPPORT_READS
    | {Scope.MESSAGES_WRITE, Scope.SUPPRESSIONS_WRITE, Scope.RECIPIENTS_READ},
}
SERVER_SCOPES = frozenset(
    scope
    for scope in _ALL_BUT_PLATFORM
    if not scope.startswith(("organisations", "members", "keys", "recipients", "audit"))
)

# Of keys that name none: what Postal's keys do, and what ours of before there were scopes did.
DEFAULT_SERVER_SCOPES = frozenset(
    {
        Scope.MESSAGES_SEND,
        Scope.MESSAGES_READ,
        Scope.MESSAGES_WRITE,
        Scope.WEBHOOKS_READ,
        Scope.WEBHOOKS_WRITE,
    }
)


class Kind(StrEnum):
    """What a principal is. Values are stored; never rename them."""

    PLATFORM = "platform"
    ORGANISATION = "organisation"
    SERVER = "server"
    USER = "user"
    NOBODY = "nobody"  # who calls what needs no key


@dataclass(frozen=True, slots=True)
class Membership:
    """A user's part in an organisation; `servers` None means all of them."""

    organisation: str
    role: Role
    servers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `scopes` are those of its key; a user's role narrows them in each organisation.

    `organisation` and `server` are what a key of such a kind is bound to. `id` names the key or
    the user in the audit log, `name` is for people to read.
    """

    kind: Kind
    id: str
    name: str
    scopes: frozenset[str] = frozenset()
    organisation: str = ""
    server: str = ""
    memberships: tuple[Membership, ...] = ()
    is_administrator: bool = False  # of a user: sees and does everything

    def membership(self, organisation: str) -> Membership | None:
        """Return the user's part in an organisation, or None."""
        found = (each for each in self.memberships if each.organisation == organisation)
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Target:
    """What a call is about: the platform, an organisation, or a server of one."""

    organisation: str = ""
    server: str = ""


class Verdict(StrEnum):
    """What becomes of a call."""

    ALLOWED = "allowed"
    FORBIDDEN = "forbidden"  # it is there and visible to the caller, but not theirs to do: 403
    HIDDEN = "hidden"  # to this caller it does not exist: 404


def decide(principal: Principal, scope: Scope, target: Target) -> Verdict:
    """Say whether `principal` may do what needs `scope` to `target`.

    What belongs to somebody else is HIDDEN, never FORBIDDEN: a refusal would tell that it exists.
    """
    if not _sees(principal, target):
        return Verdict.HIDDEN
    if scope is Scope.PLATFORM or not target.organisation:
        allowed = _is_platform(principal) and _holds(principal.scopes, scope)
        return Verdict.ALLOWED if allowed else Verdict.FORBIDDEN
    allowed = _holds(principal.scopes, scope) and _role_allows(principal, scope, target)
    return Verdict.ALLOWED if allowed else Verdict.FORBIDDEN


def may_grant(principal: Principal, scopes: Iterable[str], target: Target) -> bool:
    """Say whether `principal` holds all `scopes` on `target`: nobody gives what they lack."""
    return all(
        decide(principal, Scope(each), target) is Verdict.ALLOWED
        for each in (Scope if ALL in set(scopes) else scopes)
        if each != Scope.PLATFORM or not target.organisation
    )


def _is_platform(principal: Principal) -> bool:
    return principal.kind is Kind.PLATFORM or principal.is_administrator


def _sees(principal: Principal, target: Target) -> bool:
    if _is_platform(principal) or not target.organisation:
        return True
    if principal.kind is Kind.SERVER:
        own = principal.organisation == target.organisation
        return own and target.server in ("", principal.server)
    if principal.kind is Kind.ORGANISATION:
        return principal.organisation == target.organisation
    part = principal.membership(target.organisation)
    if part is None:
        return False
    return part.servers is None or not target.server or target.server in part.servers


def _role_allows(principal: Principal, scope: Scope, target: Target) -> bool:
    if _is_platform(principal):
        return True
    if principal.kind is Kind.SERVER:
        # A server's key sees its organisation's name and shared things, and changes only its own.
        return scope in SERVER_SCOPES if target.server else scope is Scope.ORGANISATIONS_READ
    if principal.kind is Kind.ORGANISATION:
        return True
    part = principal.membership(target.organisation)
    if part is None or scope not in ROLE_SCOPES[part.role]:
        return False
    return part.servers is None or bool(target.server) or scope.endswith(":read")


def _holds(scopes: frozenset[str], scope: Scope) -> bool:
    return scope in scopes or ALL in scopes


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something, for the audit log: ids and a name, no secret."""

    kind: str
    id: str
    name: str
    request_id: str = ""
    address: str = field(default="", repr=False)
