"""Schemas of what is stored about one person."""

from mail_api.v2.models.base import View
from mail_api.v2.models.suppressions import Suppression


class RecipientServer(View):
    """What one server has: up to 100 messages counted, and when the newest was accepted."""

    server: str
    messages: int
    has_more: bool
    last_at: float | None


class Recipient(View):
    """What an organisation has of one address. `is_complete` false if it has too many servers to
    be summed up in one call; an export has them all.
    """

    address: str
    suppressions: list[Suppression]
    servers: list[RecipientServer]
    is_complete: bool
