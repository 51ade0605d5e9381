"""The whole API behind one handler: Postal's v1 at once, the management API when first asked.

The schemas of the management API take longer to load than a message takes to be accepted, so a
process that serves v1 alone never loads them.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from chalice.app import Chalice

from mail_api.routes import create_app
from mail_api.wiring import Api
from mailroom.adapters.chalice_http import Handler

if TYPE_CHECKING:
    from mail_api.v2.desk import Desk

V2 = "/api/v2/"


def door(
    app: Chalice,
    api: Callable[[], Api],
    desk: "Callable[[], Desk]",
    serving: Callable[[Chalice], Handler],
) -> Handler:
    """Return the handler of `app` and, for paths below `/api/v2`, of the app that has it all.

    `serving` puts an app behind an HTTP API (`http_api` with the limits of the process).
    """
    plain = serving(app)

    @cache
    def whole() -> Handler:
        return serving(create_whole(api, desk))

    def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        chosen = whole() if str(event.get("rawPath", "")).startswith(V2) else plain
        return chosen(event, context)

    return handler


def create_whole(api: Callable[[], Api], desk: "Callable[[], Desk]") -> Chalice:
    """Return the app with every route there is."""
    from mail_api.v2.serve import add_operations
    from mail_api.v2.table import by_path

    app = create_app(api)
    add_operations(app, desk, by_path())
    return app


def lazy_desk(api: Callable[[], Api]) -> "Callable[[], Desk]":
    """Return a function that builds the desk at its first call and keeps it."""

    @cache
    def desk() -> "Desk":
        from mail_api.v2.wiring import desk_of

        return desk_of(api)

    return desk
