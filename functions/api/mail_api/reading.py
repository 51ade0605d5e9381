"""The two reading calls of Postal's v1, and how a message is found."""

from mail_api.message_view import expanded
from mail_api.params import Params
from mail_api.postal_envelope import Json
from mail_api.schema import not_found, parse_expansions, parse_id
from mail_api.wiring import Api
from mailroom.domain.message import Delivery, DeliveryKey, Server, Submission
from mailroom.domain.postal_words import STATUS, delivery_entry


def show_message(api: Api, server: Server, params: Params) -> Json:
    """`messages/message`: one message with the expansions asked for.

    Raises PostalError MessageNotFound, for another server's messages too, and ParameterError.
    """
    id_, expansions = parse_id(params), parse_expansions(params)
    key, submission, delivery = _found(api, server, id_, params)
    return expanded(api, submission, delivery, key, expansions)


def list_deliveries(api: Api, server: Server, params: Params) -> list[Json]:
    """`messages/deliveries`: what became of one message so far, oldest first.

    Raises PostalError MessageNotFound, for another server's messages too, and ParameterError.
    """
    key, _, _ = _found(api, server, parse_id(params), params)
    events = api.ports.ledger.history(key)
    # A release is no entry in Postal either: the attempt that follows is.
    return [delivery_entry(event) for event in events if event.attempt and event.type in STATUS]


def find_message(api: Api, server: Server, id_: int) -> tuple[DeliveryKey, Submission] | None:
    """Return a committed message of `server` by its integer id, or None."""
    try:
        key = DeliveryKey.from_postal_id(server.id, id_)
    except ValueError:
        return None
    submission = api.ports.ledger.submission(key.server, key.number)
    if submission is None or key.index >= submission.recipients:
        return None
    return key, submission


def _found(
    api: Api, server: Server, id_: int, params: Params
) -> tuple[DeliveryKey, Submission, Delivery]:
    found = find_message(api, server, id_)
    delivery = api.ports.ledger.delivery(found[0]) if found else None
    if found is None or delivery is None:
        raise not_found(params.get("id"))
    return *found, delivery
