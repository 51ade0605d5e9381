"""The native API's two calls about held messages: let one go, or give up on it."""

from collections.abc import Callable

from mail_api.postal_envelope import Json
from mail_api.reading import find_message
from mail_api.wiring import Api
from mailroom.domain.message import Credential, Delivery, DeliveryKey, Server
from mailroom.errors import (
    MailroomError,
    MessageNotFoundError,
    NotHeldError,
    StateConflictError,
)
from mailroom.usecases.cancel import cancel
from mailroom.usecases.release import HoldPorts, release

Action = Callable[[DeliveryKey, str, HoldPorts], Delivery]

ACTIONS: dict[str, Action] = {"release": release, "cancel": cancel}


class HoldingCredentialError(MailroomError):
    """What a credential holds, the same credential must not let go."""

    code = "AccessDenied"


# What an HTTP client is told.
STATUS = {
    MessageNotFoundError: 404,
    NotHeldError: 409,
    StateConflictError: 409,
    HoldingCredentialError: 403,
}


def end_hold(action: str, api: Api, caller: tuple[Server, Credential], id_: int) -> Json:
    """Do `action` ("release" or "cancel") with a message of the caller's; return its new state.

    Raises MessageNotFoundError, for another server's messages too, NotHeldError,
    StateConflictError and HoldingCredentialError.
    """
    server, credential = caller
    if credential.hold:
        raise HoldingCredentialError("this key holds what it sends; another one must decide")
    if api.work is None:
        raise RuntimeError("this process was given nothing to end holds with")
    found = find_message(api, server, id_)
    if found is None:
        raise MessageNotFoundError("There is no message with that id")
    ports = HoldPorts(
        ledger=api.ports.ledger,
        work=api.work,
        lane=api.ports.lane,
        clock=api.ports.clock,
        delay_divisor=api.ports.delay_divisor,
    )
    delivery = ACTIONS[action](found[0], f"API key {credential.name!r}", ports)
    return {
        "id": delivery.key.postal_id,
        "state": str(delivery.state),
        "expires_at": delivery.expires_at,
    }
