"""The tool in a test: a platform that is a function, and what was printed."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from cli.app import run
from cli.client import Client, Patience
from cli.document import PATH, DocumentStore
from cli.output import Printer
from cli.profile import Profile
from cli.session import Session

URL = "https://api.example"
KEY = "mr_aa_secretsecretsecretsecretsecretse"


def text(**more: Any) -> dict[str, Any]:
    return {"type": "string", **more}


def operation(id_: str, body: "dict[str, Any] | None" = None, **more: Any) -> dict[str, Any]:
    found = {"operationId": id_, "summary": f"Do {id_}", "responses": {}, **more}
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{id_}"}
        found["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return found


def parameter(name: str, place: str = "path", **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema or text()}


LISTING = [parameter("limit", "query", type="integer"), parameter("cursor", "query")]
DOMAIN = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": text(description="Domain name"),
        "dkim": {"anyOf": [{"$ref": "#/components/schemas/Dkim"}, {"type": "null"}]},
        "bits": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "verified": {"type": "boolean"},
        "aliases": {"type": "array", "items": text()},
        "mode": text(enum=["live", "sandbox"]),
        "data": text(),
        "from": text(),
    },
}
# As the API describes itself, reduced to what differs from one operation to the next.
DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/api/v2/servers": {"get": operation("servers.list", parameters=LISTING)},
        "/api/v2/servers/{server}": {
            "parameters": [parameter("server")],
            "get": operation("servers.read"),
            "delete": operation("servers.delete"),
        },
        "/api/v2/servers/{server}/domains": {
            "parameters": [parameter("server")],
            "get": operation("domains.list", parameters=LISTING),
            "post": operation("domains.create", DOMAIN),
        },
        "/api/v2/servers/{server}/domains/{domain}": {
            "parameters": [parameter("server"), parameter("domain")],
            "patch": operation("domains.update", {}, parameters=[parameter("If-Match", "header")]),
        },
        "/api/v2/servers/{server}/domains/{domain}/check": {
            "parameters": [parameter("server"), parameter("domain")],
            "post": operation("domains.check"),
        },
        "/api/v2/deleted-organisations/{deleted}/restore": {
            "parameters": [parameter("deleted")],
            "post": operation("organisations.restore"),
        },
        "/api/v2/messages/{message}/raw": {
            "parameters": [parameter("message")],
            "get": operation("messages.raw"),
        },
        "/health": {"get": operation("health")},
    },
    "components": {
        "schemas": {
            "domains.create": DOMAIN,
            "domains.update": {"properties": {"name": text()}},
            "Dkim": {"type": "object", "properties": {}},
        }
    },
}


@dataclass
class Platform:
    """Answers calls from a list, then 204; the description always."""

    answers: list[Any] = field(default_factory=list)
    asked: list[httpx.Request] = field(default_factory=list)
    described: int = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == PATH:
            self.described += 1
            return httpx.Response(200, json=DOCUMENT)
        self.asked.append(request)
        answer = self.answers.pop(0) if self.answers else httpx.Response(204)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json=answer)

    def body(self, place: int = -1) -> Any:
        return json.loads(self.asked[place].content)


class Tool:
    """Runs commands; `out` and `err` are what the last one printed."""

    def __init__(self, folder: Path, *, profile: Profile | None = None, **environment: str) -> None:
        self.platform = Platform()
        self.profile = profile or Profile(url=URL, key=KEY, server="srvaaaaaaa")
        self.environment = {"MAILROOM_CONFIG": str(folder / "config.toml"), **environment}
        self.store = DocumentStore(folder / "cache")
        self.waited: list[float] = []
        self.out = self.err = ""
        self.at = 1_760_000_000.0

    def connect(self, url: str, key: str) -> Client:
        http = httpx.Client(base_url=url, transport=httpx.MockTransport(self.platform))
        ids = iter(f"id-{n}" for n in range(1000))
        return Client(http, key, Patience(self.wait), lambda: next(ids))

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.at += seconds

    def run(self, *arguments: str, as_json: bool = False, quiet: bool = False) -> int:
        out, err = io.StringIO(), io.StringIO()
        session = Session(
            profile=self.profile,
            printer=Printer(
                Console(file=out, width=200), Console(file=err, width=200), as_json, quiet
            ),
            connect=self.connect,
            store=self.store,
            now=lambda: self.at,
            wait=self.wait,
            environment=self.environment,
        )
        code = run(session, arguments)
        self.out, self.err = out.getvalue(), err.getvalue()
        return int(code)

    def json(self, *arguments: str) -> Any:
        assert self.run(*arguments, as_json=True) == 0, self.err
        return json.loads(self.out)


def refusal(status: int = 422, code: str = "validation_failed", **headers: str) -> httpx.Response:
    error = {
        "code": code,
        "message": "No.",
        "fields": [{"path": "dkim.selector", "message": "too long"}],
        "request_id": "r-1",
    }
    return httpx.Response(status, json={"error": error}, headers=headers)
