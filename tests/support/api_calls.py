"""The API over in-memory ports, and the events an HTTP API would send it."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from mail_api.routes import create_app
from mail_api.wiring import Api

from mailroom.adapters.chalice_http import Handler, http_api
from mailroom.domain.message import Credential, Domain, Server, ServerId
from mailroom.fakes.limits import MemoryLimits
from mailroom.fakes.memory import (
    FixedChance,
    FixedClock,
    MemoryBodies,
    MemoryDirectory,
    MemoryKey,
    MemoryLane,
    MemoryLedger,
)
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.accept import AcceptPorts

KEY = "k" * 24
SERVER = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "abc123")
OTHER_KEY = "o" * 24
OTHER = Server(ServerId("klmnopqrst"), "org2", "Other", "other", "def456")
SUSPENDED_KEY = "s" * 24
SUSPENDED = Server(ServerId("uvwxyzabcd"), "org3", "Gone", "gone", "ghi789", suspended="abuse")
LIMIT = 256 * 1024


def http_event(
    method: str,
    path: str,
    body: bytes | str | None = None,
    *,
    headers: dict[str, str] | None = None,
    query: str = "",
    cookies: list[str] | None = None,
) -> dict[str, Any]:
    """Return an event of payload format 2.0; octets are sent in base64."""
    encoded = isinstance(body, bytes)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        **({"cookies": cookies} if cookies else {}),
        "headers": {name.lower(): value for name, value in (headers or {}).items()},
        "requestContext": {
            "requestId": "request-1",
            "domainName": "api.test",
            "http": {
                "method": method,
                "path": path,
                "sourceIp": "192.0.2.7",
                "userAgent": "test",
            },
        },
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": encoded,
    }


@dataclass
class MemoryApi:
    """The API with its ports in memory; `ask` calls it as the gateway would."""

    directory: MemoryDirectory = field(default_factory=MemoryDirectory)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    bodies: MemoryBodies = field(default_factory=MemoryBodies)
    lane: MemoryLane = field(default_factory=MemoryLane)
    clock: FixedClock = field(default_factory=FixedClock)
    limits: MemoryLimits = field(default_factory=MemoryLimits)
    suppressions: MemorySuppressions | None = None
    limit: int = LIMIT  # octets of a message

    def __post_init__(self) -> None:
        for server, key in ((SERVER, KEY), (OTHER, OTHER_KEY), (SUSPENDED, SUSPENDED_KEY)):
            self.directory.add_server(server)
            self.directory.add_credential(Credential("c1", server.id, "api", "main"), key)
            self.directory.add_domain(
                Domain("demo.test", f"server#{server.id}", True, "postal-ABCDEF", b"")
            )
        self.directory.add_credential(Credential("c2", SERVER.id, "smtp", "main"), "smtp" * 6)
        self.directory.add_domain(
            Domain("unverified.test", f"server#{SERVER.id}", False, "postal-ABCDEF", b"")
        )
        self.directory.add_key("token", MemoryKey("a", b"x" * 32))
        self.handler: Handler = http_api(create_app(lambda: self.api))

    @property
    def api(self) -> Api:
        ports = AcceptPorts(
            directory=self.directory,
            ledger=self.ledger,
            bodies=self.bodies,
            lane=self.lane,
            clock=self.clock,
            chance=FixedChance(),
            max_message_size=self.limit,
            body_key=lambda server, number, chance, days: f"{server.id}/{number}/{chance}",
            work=self.ledger,
            limits=self.limits,
            suppressions=self.suppressions,
        )
        return Api(
            ports=ports,
            token_secret=lambda: self.directory.current_key("token").secret,
            return_path_domain="rp.mail.test",
            web_hostname="mail.test",
            work=self.ledger,
            signing_keys=lambda: [key.public for key in self.directory.keys("webhook").values()],
        )

    def ask(self, event: dict[str, Any]) -> tuple[int, Any]:
        """Return (status, JSON of the body)."""
        answer = self.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def call(
        self, path: str, params: Any, *, key: str | None = KEY, method: str = "POST"
    ) -> dict[str, Any]:
        """Make a v1 call with a JSON body; return the envelope."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["X-Server-API-Key"] = key
        body = params if isinstance(params, (str, bytes)) else json.dumps(params)
        status, envelope = self.ask(http_event(method, f"/api/v1/{path}", body, headers=headers))
        assert status == 200, envelope
        assert set(envelope) == {"status", "time", "flags", "data"}
        assert isinstance(envelope["time"], float)
        assert envelope["flags"] == {}
        return envelope

    @property
    def is_untouched(self) -> bool:
        """Say that nothing was stored and nobody woken."""
        return not (
            self.ledger.submissions or self.ledger.rows or self.bodies.stored or self.lane.sent
        )
