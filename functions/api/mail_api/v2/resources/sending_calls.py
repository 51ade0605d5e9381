"""Who sends natively, and how refusals of acceptance are answered."""

from collections.abc import Iterator
from contextlib import contextmanager

from mail_api.v2.operation import ApiError, Call, invalid
from mailroom.domain.message import Credential, Server, ServerId
from mailroom.domain.tenancy.access import Kind
from mailroom.domain.tenancy.kinds.stream import BUILT_IN
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.resource import place_of
from mailroom.domain.tenancy.spelling import credential_pk, load_credential
from mailroom.errors import (
    InvalidRequestError,
    LimitUnavailableError,
    MessageTooLargeError,
    NotFoundError,
    SendLimitExceededError,
    ServerSuspendedError,
    UnauthenticatedFromAddressError,
)

_BEARER = "bearer "


def server_of(call: Call) -> Server:
    """Return the server a call sends by. Raises NotFoundError."""
    server = call.desk.api().ports.directory.server(ServerId(call.target.server))
    if server is None:
        raise NotFoundError("there is nothing with that id")
    return server


def credential_of(call: Call) -> Credential:
    """Return what a message is sent with: the server's own key, or whoever may send by it.

    A key of the server brings its stream and whether what it sends is held.
    """
    who, server = call.principal, ServerId(call.target.server)
    if who.kind is Kind.SERVER:
        record = call.desk.registry.read(Place(credential_pk(_secret(call))))
        if record is not None:
            return load_credential(dict(record.body))
    return Credential(who.id, server, "api", who.name)


def stream_of(call: Call, name: str | None) -> str:
    """Return the stream a message names, "" for none. Raises ApiError for one there is not."""
    if not name or name in BUILT_IN:
        return name or ""
    if call.desk.registry.read(place_of("stream", call.parent, name)) is None:
        raise invalid("stream", "The server has no stream of that name", "unknown")
    return name


@contextmanager
def refusals(call: Call) -> Iterator[None]:
    """Turn what acceptance refuses into answers of the API. Raises ApiError."""
    try:
        yield
    except MessageTooLargeError as error:
        raise ApiError(413, "message_too_large", str(error)) from error
    except InvalidRequestError as error:
        raise ApiError(422, "invalid", str(error)) from error
    except UnauthenticatedFromAddressError as error:
        raise invalid(
            "from", "The address is at no verified domain of this server", "domain_not_verified"
        ) from error
    except ServerSuspendedError as error:
        raise ApiError(403, "server_suspended", str(error)) from error
    except SendLimitExceededError as error:
        wait = max(1, round(error.retry_at - call.desk.registrar.clock.now()))
        raise ApiError(
            429, "send_limit_exceeded", str(error), headers={"retry-after": str(wait)}
        ) from error
    except LimitUnavailableError as error:
        raise ApiError(
            503, "unavailable", "Ask again in a moment", headers={"retry-after": "2"}
        ) from error


def _secret(call: Call) -> str:
    given = call.headers.get("authorization", "")
    if given.lower().startswith(_BEARER):
        return given[len(_BEARER) :].strip()
    return call.headers.get("x-server-api-key", "")
