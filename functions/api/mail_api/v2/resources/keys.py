"""Bearer keys: those of the platform and of organisations, and people's personal tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mail_api.v2.crud import expected
from mail_api.v2.models.base import Listing, Page
from mail_api.v2.models.keys import Key, KeyCreate, KeyShown, KeyUpdate, Rotate
from mail_api.v2.operation import Answer, Call, Operation
from mail_api.v2.resources.secretive import holder, listed, require_future, shown_once, told
from mailroom.domain.tenancy.access import ALL, Kind, Scope
from mailroom.domain.tenancy.kinds.key import KEY
from mailroom.domain.tenancy.kinds.user import USER
from mailroom.domain.tenancy.resource import PLATFORM, Resource
from mailroom.errors import ForbiddenError
from mailroom.usecases.keys import change_key, create_key, revoke_key, rotate_key

Whose = Callable[[Call, Scope], str]


@dataclass(frozen=True, slots=True)
class _Ring:
    """Keys of one sort of owner. `whose` gives their parent; it is told what is needed
    where no scope of the operation says so."""

    tag: str
    path: str
    parameter: str
    noun: str
    whose: Whose
    reads: Scope | None
    writes: Scope | None


def _list(ring: _Ring, call: Call) -> Any:
    return listed(call, KEY, ring.whose(call, Scope.KEYS_READ))


def _create(ring: _Ring, call: Call) -> Answer:
    fields = require_future(call, call.body.model_dump(mode="json"))
    parent = ring.whose(call, Scope.KEYS_WRITE)
    made = create_key(parent, fields, holder=holder(call), registrar=call.desk.registrar)
    return shown_once(call, KeyShown, made)


def _read(ring: _Ring, call: Call) -> Answer:
    return told(call, Key, _one(ring, call, Scope.KEYS_READ))


def _update(ring: _Ring, call: Call) -> Answer:
    given = require_future(call, call.body.model_dump(mode="json", exclude_unset=True))
    key = expected(call, _one(ring, call, Scope.KEYS_WRITE))
    after = change_key(key, given, holder=holder(call), registrar=call.desk.registrar)
    return told(call, Key, after)


def _rotate(ring: _Ring, call: Call) -> Answer:
    key = _one(ring, call, Scope.KEYS_WRITE)
    overlap = call.body.overlap_seconds
    new = rotate_key(key, overlap, holder=holder(call), registrar=call.desk.registrar)
    return shown_once(call, KeyShown, new)


def _revoke(ring: _Ring, call: Call) -> Answer:
    key = expected(call, _one(ring, call, Scope.KEYS_WRITE))
    revoke_key(key, actor=call.actor, registrar=call.desk.registrar)
    return Answer()


def _one(ring: _Ring, call: Call, needed: Scope) -> Resource:
    parent = ring.whose(call, needed)
    return call.desk.registrar.read(KEY, parent, call.path[ring.parameter])


def _target(call: Call, _: Scope) -> str:
    return call.parent


def _platform(_: Call, __: Scope) -> str:
    return PLATFORM


def _own(call: Call, needed: Scope) -> str:
    """Return the caller's own place. Raises ForbiddenError for what is no person's token."""
    who = call.principal
    if who.kind is not Kind.USER:
        raise ForbiddenError("only a user has personal tokens: this key is another's")
    if not who.scopes & {ALL, needed}:
        raise ForbiddenError(f"this needs the scope {needed}")
    return f"user#{who.id}"


def _user(call: Call, _: Scope) -> str:
    return call.desk.registrar.read(USER, PLATFORM, call.path["user"]).owner


_RINGS = (
    _Ring("keys", "/keys", "key", "key of the platform", _platform, Scope.PLATFORM,
          Scope.PLATFORM),
    _Ring("organisation-keys", "/organisations/{organisation}/keys", "key",
          "key of an organisation", _target, Scope.KEYS_READ, Scope.KEYS_WRITE),
    _Ring("tokens", "/me/tokens", "token", "personal token of one's own", _own, None, None),
    _Ring("user-tokens", "/users/{user}/tokens", "token", "personal token of a user", _user,
          Scope.PLATFORM, Scope.PLATFORM),
)  # fmt: skip
_OWN = " The token at hand needs `keys:read`, or `keys:write` to change one."


def _operations(ring: _Ring) -> Sequence[Operation]:
    one, noun, tag = f"{ring.path}/{{{ring.parameter}}}", ring.noun, ring.tag
    reads, writes = ring.reads, ring.writes
    about = _OWN if ring.whose is _own else ""
    made = f"Its scopes are no more than the caller holds. The secret is shown this once.{about}"
    turned = (
        "Both secrets work for `overlap_seconds`. The caller holds all scopes of the key."
        f" The new secret is shown this once.{about}"
    )
    return (
        Operation(f"{tag}.list", "GET", ring.path, f"List each {noun}", partial(_list, ring),
                  reads, answer=Page[Key], query=Listing, description=about.strip()),
        Operation(f"{tag}.create", "POST", ring.path, f"Make a {noun}", partial(_create, ring),
                  writes, answer=KeyShown, body=KeyCreate, status=201, secret=True,
                  description=made),
        Operation(f"{tag}.read", "GET", one, f"Read a {noun}", partial(_read, ring), reads,
                  answer=Key, description=about.strip()),
        Operation(f"{tag}.update", "PATCH", one, f"Change a {noun}", partial(_update, ring),
                  writes, answer=Key, body=KeyUpdate, description=about.strip()),
        Operation(f"{tag}.rotate", "POST", f"{one}/rotate", f"Give a {noun} a new secret",
                  partial(_rotate, ring), writes, answer=KeyShown, body=Rotate, secret=True,
                  description=turned),
        Operation(f"{tag}.delete", "DELETE", one, f"Revoke a {noun}", partial(_revoke, ring),
                  writes, status=204,
                  description=f"It ends at once, with both its secrets, for good.{about}"),
    )  # fmt: skip


OPERATIONS = tuple(each for ring in _RINGS for each in _operations(ring))
