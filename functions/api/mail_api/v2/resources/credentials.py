"""Credentials of a server."""

from typing import Any

from mail_api.v2.crud import expected
from mail_api.v2.models.base import DeletedListing, Page
from mail_api.v2.models.credentials import (
    Credential,
    CredentialCreate,
    CredentialShown,
    CredentialUpdate,
)
from mail_api.v2.models.keys import Rotate
from mail_api.v2.operation import Answer, Call, Operation, invalid
from mail_api.v2.resources.secretive import holder, listed, require_future, shown_once, told
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.tenancy.kinds.credential import CREDENTIAL, CredentialType
from mailroom.domain.tenancy.resource import Resource
from mailroom.usecases.credentials import (
    CredentialPorts,
    change_credential,
    create_credential,
    rotate_credential,
)


def list_credentials(call: Call) -> Any:
    """Those of a server, without their secrets; with `deleted` those that can be had back."""
    return listed(call, CREDENTIAL, call.parent, deleted=call.query.deleted)


def create(call: Call) -> Answer:
    """Make one. The secret is shown this once; only its hash is stored.

    A `network` that opens a server already is refused with 409.
    """
    fields = require_future(call, call.body.model_dump(mode="json"))
    given = fields.pop("secret") or ""
    if given:
        call.require(Scope.PLATFORM)
    shown = create_credential(
        call.target, fields, given=given, holder=holder(call), ports=_ports(call)
    )
    return shown_once(call, CredentialShown, shown)


def read(call: Call) -> Answer:
    """Read one."""
    return told(call, Credential, _one(call))


def update(call: Call) -> Answer:
    """Change one; the sending path sees it within a minute."""
    given = require_future(call, call.body.model_dump(mode="json", exclude_unset=True))
    before = expected(call, _one(call))
    type_ = before.fields["type"]
    if type_ == CredentialType.SMTP_IP and given.get("networks"):
        raise invalid("networks", "SMTP-IP has none: its network is what opens")
    if type_ != CredentialType.API and given.get("scopes", [Scope.MESSAGES_SEND]) != [
        Scope.MESSAGES_SEND
    ]:
        raise invalid("scopes", "by SMTP nothing can be done but sending")
    after = change_credential(before, given, holder=holder(call), ports=_ports(call))
    return told(call, Credential, after)


def rotate(call: Call) -> Answer:
    """Give one a new secret, shown this once. Both work for `overlap_seconds`."""
    overlap = call.body.overlap_seconds
    shown = rotate_credential(_one(call), overlap, holder=holder(call), ports=_ports(call))
    return shown_once(call, CredentialShown, shown)


def delete(call: Call) -> Answer:
    """Delete one: it opens nothing any more. For 30 days it can be had back, secret and all."""
    call.desk.registrar.delete(CREDENTIAL, expected(call, _one(call)), actor=call.actor)
    return Answer()


def restore(call: Call) -> Answer:
    """Bring a deleted one back: what knows its secret is let in again."""
    back = call.desk.registrar.restore(
        CREDENTIAL, call.parent, call.path["credential"], actor=call.actor
    )
    return told(call, Credential, back)


def _one(call: Call) -> Resource:
    return call.desk.registrar.read(CREDENTIAL, call.parent, call.path["credential"])


def _ports(call: Call) -> CredentialPorts:
    return CredentialPorts(call.desk.registrar, call.desk.keyring)


_ALL = "/servers/{server}/credentials"
_ONE = f"{_ALL}/{{credential}}"
_READS, _WRITES = Scope.CREDENTIALS_READ, Scope.CREDENTIALS_WRITE

OPERATIONS = (
    Operation("credentials.list", "GET", _ALL, "List credentials", list_credentials, _READS,
              answer=Page[Credential], query=DeletedListing),
    Operation("credentials.create", "POST", _ALL, "Create a credential", create, _WRITES,
              answer=CredentialShown, body=CredentialCreate, status=201, secret=True),
    Operation("credentials.read", "GET", _ONE, "Read a credential", read, _READS,
              answer=Credential),
    Operation("credentials.update", "PATCH", _ONE, "Change a credential", update, _WRITES,
              answer=Credential, body=CredentialUpdate),
    Operation("credentials.rotate", "POST", f"{_ONE}/rotate", "Give a credential a new secret",
              rotate, _WRITES, answer=CredentialShown, body=Rotate, secret=True),
    Operation("credentials.delete", "DELETE", _ONE, "Delete a credential", delete, _WRITES,
              status=204),
    Operation("credentials.restore", "POST", f"{_ONE}/restore",
              "Bring a deleted credential back", restore, _WRITES, answer=Credential),
)  # fmt: skip
