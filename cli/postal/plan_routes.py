"""Wishes of incoming mail: endpoints and the routes that lead to them."""

import re
from collections.abc import Callable, Mapping

from cli.postal.model import Domain, Endpoint, Route
from cli.postal.wish import Wish

_BASE = "/api/v2/servers/{parent}"
_TABLES = {"http": "http_endpoints", "smtp": "smtp_endpoints", "address": "address_endpoints"}
_ENCODINGS = {"BodyAsJSON": "json", "FormData": "form"}
_FORMATS = {"Hash": "hash", "RawMessage": "raw"}
_TLS = ("none", "auto", "starttls", "tls")
_TOKEN = re.compile(r"[a-z0-9]{8}\Z")
RETURN_PATH = "__returnpath__"

Name = Callable[[str, int], str]


def endpoint_wish(endpoint: Endpoint, name: Name) -> Wish:
    """Return the wish of an endpoint."""
    settings = dict(endpoint.settings)
    if endpoint.kind == "http":
        settings["encoding"] = _ENCODINGS.get(str(settings["encoding"]), "json")
        settings["format"] = _FORMATS.get(str(settings["format"]), "hash")
        settings["timeout"] = min(max(int(settings["timeout"]), 5), 60)
    if endpoint.kind == "smtp":
        mode = str(settings.pop("ssl_mode")).lower()
        settings["tls"] = mode if mode in _TLS else "auto"
        settings["hostname"] = str(settings["hostname"]).lower()
    return Wish(
        kind="endpoints",
        external_id=name(_TABLES[endpoint.kind], endpoint.number),
        label=endpoint.name,
        collection=f"{_BASE}/endpoints",
        item=f"{_BASE}/endpoints/{{id}}",
        parent=name("servers", endpoint.server),
        fields={"name": endpoint.name, **settings},
        once={"type": endpoint.kind},
    )


def route_wish(route: Route, domains: Mapping[int, Domain], name: Name) -> Wish:
    """Return the wish of a route; one that led nowhere in Postal is a problem here too."""
    domain = domains.get(route.domain) if route.domain is not None else None
    problem = ""
    if domain is None and route.name != RETURN_PATH:
        problem = "its domain is not there"
    if route.mode == "Endpoint" and not route.endpoints:
        problem = "its endpoint is not there"
    once = {"name": route.name}
    if domain is not None:
        once["domain"] = domain.name
    notes = []
    if _TOKEN.match(route.token.lower()):
        once["token"] = route.token.lower()
    else:
        notes.append("its token cannot be kept: forwarding to it needs the new one")
    return Wish(
        kind="routes",
        external_id=name("routes", route.number),
        label=f"{route.name}@{domain.name}" if domain else route.name,
        collection=f"{_BASE}/routes",
        item=f"{_BASE}/routes/{{id}}",
        parent=name("servers", route.server),
        fields={"mode": route.mode.lower(), "spam_mode": route.spam_mode.lower()},
        once=once,
        links=_endpoints(route, name) if route.mode == "Endpoint" else {},
        needs=[name("domains", domain.number)] if domain else [],
        notes=notes,
        problem=problem,
    )


def _endpoints(route: Route, name: Name) -> dict[str, str]:
    ids = [name(_TABLES[kind], number) for kind, number in dict.fromkeys(route.endpoints)]
    more = {f"more_endpoints.{place}": id_ for place, id_ in enumerate(ids[1:])}
    return {"endpoint": ids[0], **more} if ids else {}
