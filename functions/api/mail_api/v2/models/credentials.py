"""Schemas of a server's credentials."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mail_api.v2.models.base import Body, Name, Reference
from mail_api.v2.models.keys import Expiry, Networks, Secretive
from mail_api.v2.models.streams import StreamName
from mailroom.domain.tenancy.access import SERVER_SCOPES, Scope
from mailroom.domain.tenancy.kinds.credential import CredentialType
from mailroom.domain.tenancy.spelling import network_pk


def _opened_network(text: str) -> str:
    return network_pk(text).partition("#")[2]


def _of_servers(scopes: list[Scope]) -> list[Scope]:
    foreign = sorted(set(scopes) - SERVER_SCOPES)
    if foreign:
        raise ValueError(f"a server's credential cannot have {', '.join(foreign)}")
    return list(dict.fromkeys(scopes))


OpenedNetwork = Annotated[str, StringConstraints(max_length=64), AfterValidator(_opened_network)]
ServerScopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=64, description="What it may do, no more than its maker may"),
    AfterValidator(_of_servers),
]
GivenSecret = Annotated[str, StringConstraints(pattern=r"^[!-~]{16,128}$")]
_SEND = [Scope.MESSAGES_SEND]


class CredentialCreate(Body):
    """A new credential. Its secret is in the answer, and nowhere afterwards.

    SMTP-IP opens the server to a `network` without a login. `secret` is for platform
    administrators: an importer keeps the one that programs know.
    """

    type: CredentialType
    name: Name
    scopes: ServerScopes = _SEND
    stream: StreamName | None = Field(
        None, description="Stream of its messages that name none; null: transactional"
    )
    hold: bool = Field(default=False, description="Hold all it sends for a person")
    networks: Networks = []
    expires_at: Expiry = None
    network: OpenedNetwork | None = Field(None, description="Of SMTP-IP: an address or network")
    cram: bool = Field(
        default=False,
        description="Of SMTP: allow CRAM-MD5 too, for which the secret is kept encrypted",
    )
    secret: GivenSecret | None = None
    external_id: Reference | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Any:
        if problem := _problem(self):
            raise ValueError(problem)
        return self


def _problem(given: CredentialCreate) -> str:
    if given.type is CredentialType.SMTP_IP:
        if given.network is None:
            return "SMTP-IP needs a network"
        if given.networks or given.cram or given.secret:
            return "SMTP-IP has no networks, cram or secret: its network is what opens"
    elif given.network is not None:
        return "network is for SMTP-IP; networks say where others may be used from"
    if given.cram and given.type is not CredentialType.SMTP:
        return "cram is for SMTP"
    if given.type is not CredentialType.API and given.scopes != _SEND:
        return "by SMTP nothing can be done but sending: scopes is messages:send"
    return ""


class CredentialUpdate(Body):
    """What may be changed of a credential. For a new secret, rotate it."""

    name: Name = ""
    scopes: ServerScopes = _SEND
    stream: StreamName | None = None
    hold: bool = False
    networks: Networks = []
    expires_at: Expiry = None
    external_id: Reference | None = None


class Credential(Secretive):
    """What opens a server."""

    type: CredentialType
    name: str
    scopes: list[str]
    stream: str | None = None
    hold: bool = False
    networks: list[str] = []
    expires_at: float | None = None
    network: str | None = None
    cram: bool = False
    external_id: str | None = None
    deleted_at: float | None = None


class CredentialShown(Credential):
    """A credential with its new secret, which is shown this once; SMTP-IP has none."""

    secret: str | None
