"""The paths of the tracking host."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, cast

from chalice.app import Chalice, Request, Response

from mail_tracking.visitor import visit
from mailroom.adapters.log_line import write_line
from mailroom.usecases.track import Followed, TrackPorts, Visit, track_click, track_open
from mailroom.usecases.track_legacy import LegacyPorts, follow_legacy, legacy_pixel

# A transparent GIF of one pixel, the smallest there is.
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

_PRIVATE = {"Cache-Control": "no-store, private", "X-Robots-Tag": "noindex"}
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
_PAGE = {"Content-Type": "text/html; charset=utf-8"}
_GONE = (
    "<!doctype html><title>Link not found</title>"
    "<h1>Link not found</h1><p>This link is not valid, or it has been switched off.</p>"
)
_METHODS = ["GET", "HEAD"]


def create_app(
    ports: Callable[[], TrackPorts],
    *,
    hops: Callable[[], int],
    legacy: Callable[[], LegacyPorts] | None = None,
) -> Chalice:
    """Return the app; `ports`, `hops` (proxies of ours before the gateway) and `legacy` (what old
    links of Postal's need; without it there are none) are asked late."""
    app = Chalice(app_name="mail-tracking")

    @app.route("/c/{token}", methods=_METHODS)
    def click(token: str) -> Response:
        found = track_click(token, _visit(app, hops()), ports())
        if found is None:
            return _not_found(app)
        _tell_loss(found)
        return _answer(app, "", 307, _PRIVATE | _PLAIN | {"Location": found.location})

    @app.route("/o/{token}", methods=_METHODS)
    def pixel(token: str) -> Response:
        found = track_open(token, _visit(app, hops()), ports())
        if found is None:
            return _not_found(app)
        _tell_loss(found)
        return _answer(app, PIXEL, 200, _PRIVATE | {"Content-Type": "image/gif"})

    _add_plain_pages(app)
    if legacy is not None:
        _add_legacy_paths(app, legacy)
    return app


def _add_legacy_paths(app: Chalice, legacy: Callable[[], LegacyPorts]) -> None:
    """Add Postal's paths; they are looked at after all of ours."""

    @app.route("/{server}/{link}", methods=_METHODS)
    def legacy_click(server: str, link: str) -> Response:
        location = follow_legacy(server, link, legacy())
        if location is None:
            return _not_found(app)
        return _answer(app, "", 307, _PRIVATE | _PLAIN | {"Location": location})

    @app.route("/img/{server}/{message}", methods=_METHODS)
    def legacy_open(server: str, message: str) -> Response:
        location = legacy_pixel(server, message, legacy())
        if location is None:
            return _not_found(app)
        if location:
            return _answer(app, "", 307, _PRIVATE | _PLAIN | {"Location": location})
        return _answer(app, PIXEL, 200, _PRIVATE | {"Content-Type": "image/gif"})


def _add_plain_pages(app: Chalice) -> None:
    # "Hello." is what Postal's tracking host says; uptime checks of its users look for it.
    pages: Mapping[str, str] = {
        "/": "Hello.",
        "/health": "OK",
        "/robots.txt": "User-agent: *\nDisallow: /\n",
    }
    for path, text in pages.items():

        def page(text: str = text) -> Response:
            return _answer(app, text, 200, _PLAIN)

        name = path.strip("/.").replace(".", "_") or "root"
        app.route(path, methods=_METHODS, name=name)(page)


def _visit(app: Chalice, hops: int) -> Visit:
    request = cast("Request", app.current_request)  # set for the length of a view
    identity: dict[str, Any] = request.context.get("identity", {})
    headers = {name.lower(): value for name, value in request.headers.items()}
    return visit(request.method, headers, identity.get("sourceIp", ""), hops=hops)


def _answer(app: Chalice, body: "str | bytes", status: int, headers: dict[str, str]) -> Response:
    request = cast("Request", app.current_request)
    return Response("" if request.method == "HEAD" else body, {**headers}, status)


def _not_found(app: Chalice) -> Response:
    return _answer(app, _GONE, 404, _PRIVATE | _PAGE)


def _tell_loss(found: Followed) -> None:
    """Say that an event is gone for good: the reader was served, nobody will count it."""
    if found.lost and found.event is not None:
        write_line(
            {"event": "view_lost", "lost": 1, "type": found.event.type, "id": found.event.id}
        )
