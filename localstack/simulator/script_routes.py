"""The routes of `/scripts`: tests say what hosts and recipients do, and ask what was used."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from localstack.simulator.playbook import Playbook
from localstack.simulator.written import ScriptError


@dataclass(frozen=True, slots=True)
class ScriptRoutes:
    """The handlers; each answers one route."""

    playbook: Playbook

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the route table."""
        return [
            web.get("/scripts", self.list_keys),
            web.delete("/scripts", self.clear),
            web.put("/scripts/{key}", self.put),
            web.get("/scripts/{key}", self.show),
            web.delete("/scripts/{key}", self.remove),
        ]

    async def list_keys(self, _: web.Request) -> web.Response:
        """The keys that have a script."""
        return web.json_response({"scripts": self.playbook.keys()})

    async def clear(self, _: web.Request) -> web.Response:
        """Forget all scripts."""
        return web.json_response({"deleted": self.playbook.clear()})

    async def put(self, request: web.Request) -> web.Response:
        """Set one script; the body is the list of its steps."""
        document = await read_json(request)
        try:
            return web.json_response(self.playbook.put(request.match_info["key"], document))
        except ScriptError as error:
            raise web.HTTPBadRequest(reason=str(error)) from error

    async def show(self, request: web.Request) -> web.Response:
        """One script, and what of it was used."""
        try:
            found = self.playbook.show(request.match_info["key"])
        except ScriptError as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        if found is None:
            raise web.HTTPNotFound(reason="no such script")
        return web.json_response(found)

    async def remove(self, request: web.Request) -> web.Response:
        """Forget one script."""
        try:
            known = self.playbook.remove(request.match_info["key"])
        except ScriptError as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        if not known:
            raise web.HTTPNotFound(reason="no such script")
        return web.json_response({"deleted": 1})


async def read_json(request: web.Request) -> Any:
    """Return the JSON of the request's body. Raises the 400 or 415 that it deserves."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="send application/json")
    try:
        return await request.json()
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(reason="the body is not JSON") from error
