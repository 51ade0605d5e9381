"""The two sending calls of Postal's v1: read, do, answer. Each returns the envelope's `data`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from mail_api.params import Params
from mail_api.postal_envelope import Json, ParameterError, PostalError
from mail_api.recipients import Recipient, distinct
from mail_api.schema import parse_message, parse_raw
from mail_api.wiring import Api
from mailroom.domain.authorship import signing_domain
from mailroom.domain.compose import Postmark, compose, received_line
from mailroom.domain.credential_use import Refusal, refusal
from mailroom.domain.header_encoding import UnfitHeaderError
from mailroom.domain.headers import fields, split
from mailroom.domain.labels import Labels
from mailroom.domain.message import Credential, Server, Submission
from mailroom.domain.tenancy.access import Scope
from mailroom.domain.token import message_token
from mailroom.errors import (
    InvalidRequestError,
    SendLimitExceededError,
    ServerSuspendedError,
    UnauthenticatedFromAddressError,
)
from mailroom.usecases.accept import Parcel, accept


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the server its key opens, and from which address (empty if unknown)."""

    server: Server
    credential: Credential
    ip_address: str


SENDING = frozenset({Scope.MESSAGES_SEND})
READING = frozenset({Scope.MESSAGES_READ, Scope.MESSAGES_SEND})  # as Postal's keys do both
_REFUSED = {
    Refusal.EXPIRED: "The API key has expired",
    Refusal.ADDRESS: "The API key may not be used from this address",
    Refusal.SCOPE: "The API key may not be used for this",
}


def identify(
    api: Api, key: str | None, address: str = "", scopes: frozenset[str] = frozenset()
) -> tuple[Server, Credential]:
    """Return what an API key opens, used from an IP address; one of `scopes` is enough, if any.

    Raises PostalError: AccessDenied without a key and for one that may not be used now, from
    there or for that, InvalidServerAPIKey for an unknown one, ServerSuspended.
    """
    if key is None or not key.strip():
        raise PostalError("AccessDenied", "The header X-Server-API-Key is missing")
    directory, now = api.ports.directory, api.ports.clock.now()
    credential = directory.credential(key, "api") if key.isascii() else None
    server = directory.server(credential.server) if credential else None
    if credential is None or server is None:
        raise PostalError("InvalidServerAPIKey", "The API key is not valid", token=key)
    refused = [
        refusal(credential, address=address, now=now, scope=scope) for scope in scopes or {None}
    ]
    if all(refused):
        raise PostalError("AccessDenied", _REFUSED[next(filter(None, refused))])
    if server.suspended:
        raise PostalError("ServerSuspended")
    if api.last_use is not None:
        api.last_use.used(credential.id, now)
    return server, credential


def send_message(api: Api, caller: Caller, params: Params) -> Json:
    """`send/message`. Raises PostalError and ParameterError; nothing is stored then."""
    call = parse_message(params, _verifier(api, caller.server))
    postmark = postmark_of(api, caller.ip_address, private=caller.server.privacy)
    try:
        raw = compose(call.letter, postmark)
    except UnfitHeaderError as error:
        raise ParameterError(str(error)) from error
    parcel = Parcel(
        server=caller.server,
        credential=caller.credential,
        source="api",
        mail_from=call.mail_from,
        recipients=tuple(distinct(call.recipients)),
        raw=raw,
        labels=Labels(tags=(call.tag,) if call.tag else ()),
        bounce=call.bounce,
        received_with_ssl=True,
    )
    refusal = "The from address is at no verified domain of this server"
    _, messages = _accepted(api, parcel, call.recipients, refusal)
    return {"message_id": postmark.message_id, "messages": messages}


def postmark_of(api: Api, address: str, *, private: bool) -> Postmark:
    """Return what the platform adds to a message that a client at an IP address wrote."""
    now, chance = api.ports.clock.now(), api.ports.chance
    return Postmark(
        message_id=f"{UUID(int=chance.bits(128), version=4)}@{api.return_path_domain}",
        now=now,
        boundary=f"{chance.bits(96):024x}",
        received=received_line(address, by=api.web_hostname, now=now, private=private),
    )


def send_raw(api: Api, caller: Caller, params: Params) -> Json:
    """`send/raw`. Raises PostalError and ParameterError; nothing is stored then."""
    call = parse_raw(params)
    if not call.recipients:  # Postal checks the author all the same, and then sends nothing
        header = list(fields(split(call.raw)[0]))
        if signing_domain(header, _verifier(api, caller.server)) is None:
            raise PostalError("UnauthenticatedFromAddress")
        return {"message_id": None, "messages": {}}
    parcel = Parcel(
        server=caller.server,
        credential=caller.credential,
        source="raw",
        mail_from=call.mail_from,
        recipients=tuple(distinct(call.recipients)),
        raw=call.raw,
        bounce=call.bounce,
        received_with_ssl=True,
    )
    submission, messages = _accepted(api, parcel, call.recipients, None)
    return {"message_id": submission.message_id, "messages": messages}


def _accepted(
    api: Api, parcel: Parcel, recipients: Sequence[Recipient], refusal: str | None
) -> tuple[Submission, dict[str, Json]]:
    """Accept; return the submission, and id and token by address as the caller wrote it."""
    # Asked for before the commit: failing after it would make the caller send again.
    secret = api.token_secret()
    try:
        accepted = accept(parcel, api.ports)
    except InvalidRequestError as error:
        raise ParameterError(str(error)) from error
    except UnauthenticatedFromAddressError as error:
        raise PostalError("UnauthenticatedFromAddress", refusal) from error
    except ServerSuspendedError as error:
        raise PostalError("ServerSuspended") from error
    except SendLimitExceededError as error:
        raise PostalError("SendLimitExceeded", "The server has reached its send limit") from error
    keys = dict(zip(parcel.recipients, (d.key for d in accepted.deliveries), strict=True))
    return accepted.submission, {
        recipient.given: {
            "id": keys[recipient.address].postal_id,
            "token": message_token(keys[recipient.address], secret),
        }
        for recipient in recipients
    }


def _verifier(api: Api, server: Server) -> Callable[[str], bool]:
    return lambda domain: api.ports.directory.sending_domain(server, domain) is not None
