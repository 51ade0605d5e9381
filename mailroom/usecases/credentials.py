"""Make, change, rotate and delete what opens a server: API keys, SMTP passwords, networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailroom.domain.message import ServerId
from mailroom.domain.tenancy.access import Target, may_grant
from mailroom.domain.tenancy.identity import new_secret
from mailroom.domain.tenancy.kinds.credential import CREDENTIAL, CredentialType
from mailroom.domain.tenancy.kinds.secret import rotated, sealed
from mailroom.domain.tenancy.kinds.stream import BUILT_IN, STREAM
from mailroom.domain.tenancy.resource import Resource
from mailroom.errors import ForbiddenError, NoSecretError
from mailroom.ports.registry import Keyring
from mailroom.usecases.keys import Holder, Shown
from mailroom.usecases.registrar import Registrar

PREFIX = "mrs"


@dataclass(frozen=True, slots=True)
class CredentialPorts:
    """The register, and what encrypts the secrets that CRAM-MD5 needs."""

    registrar: Registrar
    keyring: Keyring


def create_credential(
    target: Target,
    fields: Mapping[str, Any],
    *,
    given: str = "",
    holder: Holder,
    ports: CredentialPorts,
) -> Shown:
    """Make a credential of a server. `given` is its secret where that is not to be drawn.

    Raises ForbiddenError for a scope its maker does not hold, NotFoundError for a stream there is
    not, AlreadyExistsError for a network or secret that opens something already, TooManyError.
    """
    parent = f"server#{target.server}"
    _require_held(fields["scopes"], target, holder)
    _require_stream(parent, fields.get("stream"), ports.registrar)
    secret = "" if fields["type"] == CredentialType.SMTP_IP else given or _drawn(ports)
    whole = {**fields, **(_kept(parent, fields, secret, ports) if secret else {})}
    made = ports.registrar.create(
        CREDENTIAL, parent, whole, actor=holder.actor, organisation=target.organisation
    )
    return Shown(made, secret)


def change_credential(
    credential: Resource, given: Mapping[str, Any], *, holder: Holder, ports: CredentialPorts
) -> Resource:
    """Change what `given` names. Raises ForbiddenError, NotFoundError, RevisionError."""
    target = _target(credential)
    _require_held(credential.fields["scopes"], target, holder)
    fields = {**credential.fields, **given}
    _require_held(fields["scopes"], target, holder)
    _require_stream(credential.parent, given.get("stream"), ports.registrar)
    return ports.registrar.update(CREDENTIAL, credential, fields, actor=holder.actor)


def rotate_credential(
    credential: Resource, overlap: float, *, holder: Holder, ports: CredentialPorts
) -> Shown:
    """Give a credential a new secret; the old one works for `overlap` seconds more.

    Raises ForbiddenError when it may do what the caller may not, NoSecretError for one without a
    secret, RevisionError.
    """
    before = credential.fields
    if before["type"] == CredentialType.SMTP_IP:
        raise NoSecretError("this credential has no secret: its network is what opens")
    _require_held(before["scopes"], _target(credential), holder)
    secret = _drawn(ports)
    fields = rotated(before, secret, now=ports.registrar.clock.now(), overlap=overlap)
    if before.get("cram"):
        fields["cram_wrapped"] = _wrapped(credential.parent, secret, ports)
        fields["old_cram_wrapped"] = before["cram_wrapped"] if overlap else None
    after = ports.registrar.update(
        CREDENTIAL, credential, fields, actor=holder.actor, action="rotate"
    )
    return Shown(after, secret)


def _kept(
    parent: str, fields: Mapping[str, Any], secret: str, ports: CredentialPorts
) -> dict[str, Any]:
    cram = {"cram_wrapped": _wrapped(parent, secret, ports)} if fields.get("cram") else {}
    return {**sealed(secret), **cram}


def _wrapped(parent: str, secret: str, ports: CredentialPorts) -> str:
    return ports.keyring.wrap(secret.encode(), parent).hex()


def _drawn(ports: CredentialPorts) -> str:
    return new_secret(ports.registrar.chance, ports.registrar.environment, PREFIX)


def _target(credential: Resource) -> Target:
    server = credential.parent.removeprefix("server#")
    return Target(credential.organisation, ServerId(server))


def _require_held(scopes: Any, target: Target, holder: Holder) -> None:
    if not may_grant(holder.principal, scopes, target):
        raise ForbiddenError("nobody gives a credential what they do not hold themselves")


def _require_stream(parent: str, name: Any, registrar: Registrar) -> None:
    if name and name not in BUILT_IN:
        registrar.read(STREAM, parent, name)
