"""A tenant made over the management API itself, as a reseller would: nothing is written past it."""

import json
import secrets
import smtplib
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.customer import Customer, wait_for


@dataclass(frozen=True)
class Reply:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True)
class Api:
    """The management API with one key."""

    url: str
    key: str
    ca_file: str = ""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Make one call; `idempotency_key="x"` is the header Idempotency-Key."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            f"{self.url}/api/v2{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                **given,
            },
        )
        context = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return Reply(answer.status, lowered(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Reply(refusal.code, lowered(refusal.headers.items()), refusal.read())

    def __call__(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        """Make one call that must succeed; return its JSON."""
        reply = self.ask(method, path, body, **headers)
        assert reply.status < 300, (method, path, reply.status, reply.raw)
        return reply.json if reply.raw else None

    def get(self, path: str, **query: object) -> Any:
        """Read something."""
        return self("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path)


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


@dataclass(frozen=True)
class ApiServer:
    """A server with a key that sends and a webhook for everything."""

    id: str
    owner: Api  # the organisation's key
    sender: Api  # the server's
    address: str
    customer: Customer = field(repr=False)

    @property
    def path(self) -> str:
        return f"/servers/{self.id}"

    def letter(self, to: Sequence[object], **fields: object) -> dict[str, object]:
        """A small message."""
        return {"from": self.address, "to": list(to), "subject": "test", "text": "Hi", **fields}

    def submit(self, to: Sequence[object], **fields: object) -> Any:
        """Send; return the whole answer."""
        return self.sender("POST", "/messages", self.letter(to, **fields))

    def send(self, to: Sequence[object], **fields: object) -> dict[str, int]:
        """Send; return the ids by recipient."""
        sent = self.submit(to, **fields)
        return {each["recipient"]: each["id"] for each in sent["messages"]}

    def message(self, id_: int) -> dict[str, Any]:
        """The detail of a message."""
        found: dict[str, Any] = self.owner.get(f"{self.path}/messages/{id_}")
        return found

    def in_state(self, id_: int, state: str) -> dict[str, Any]:
        """The detail, once the message is in `state` and its history says so."""

        def look() -> dict[str, Any] | None:
            found = self.message(id_)
            told = [event["type"] for event in found["events"]]
            return found if found["state"] == state and state in told else None

        return wait_for(look, what=f"{id_} to be {state}")

    def act(self, id_: int, verb: str) -> Reply:
        """Release, cancel or retry a message."""
        return self.owner.ask("POST", f"{self.path}/messages/{id_}/{verb}")

    def found(self, where: str = "messages", **query: object) -> dict[str, Any]:
        """A page of a list of messages, with the ids of it in a set."""
        page: dict[str, Any] = self.owner.get(f"{self.path}/{where}", **query)
        return {**page, "ids": {each["id"] for each in page["data"]}}

    def hooks(self, id_: int) -> set[tuple[str, str]]:
        """Event and status of the webhooks about one message."""
        return {
            (hook["event"], hook["payload"].get("status", ""))
            for hook in self.customer.webhooks_of(id_)
        }

    def hook(self, id_: int, event: str, status: str) -> None:
        """Wait for one."""
        wait_for(lambda: (event, status) in self.hooks(id_), what=f"the webhook {event} of {id_}")

    def ended(self, job: str) -> dict[str, Any]:
        """A job, once it is over."""

        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.owner.get(f"/jobs/{job}")
            return found if found["state"] not in {"queued", "running"} else None

        return wait_for(look, what=f"{job} to be over")

    @property
    def login(self) -> str:
        """The user name of SMTP."""
        server = self.owner.get(self.path)
        organisation = self.owner.get(f"/organisations/{server['organisation']}")
        return f"{organisation['permalink']}/{server['permalink']}"

    @contextmanager
    def smtp(self, password: str, user: str = "") -> Iterator[smtplib.SMTP]:
        """A session with one try to log in: smtplib's own way has one for each mechanism."""
        door = self.customer.status["smtp"]
        with smtplib.SMTP(door["host"], door["submission_port"], timeout=60) as session:
            session.starttls(context=ssl.create_default_context(cafile=door["ca_file"]))
            session.ehlo()
            session.user, session.password = user or self.login, password
            session.auth("PLAIN", session.auth_plain)
            yield session

    def octets(self, to: str) -> bytes:
        """A small message for a session."""
        mine = copy(self.customer)
        mine.sender = self.address
        return mine.message(to)

    def arrived(self, to: str) -> dict[str, Any]:
        """The one message in the mailbox of `to`, whole, once it is there."""
        (mail,) = wait_for(lambda: self.customer.mailbox(to), what=f"a message to {to}")
        return self.customer.mail(mail["id"])


@dataclass(frozen=True)
class ApiTenant:
    """An organisation with its own key and a verified domain that its servers share."""

    organisation: str
    owner: Api
    domain: str
    customer: Customer = field(repr=False)

    def server(self, name: str, **settings: object) -> ApiServer:
        """Make a server; settings are the API's."""
        made = self.owner(
            "POST", f"/organisations/{self.organisation}/servers", {"name": name, **settings}
        )["id"]
        status = self.customer.status
        credential = {"type": "API", "name": "Application", "scopes": ["messages:send"]}
        secret = self.owner("POST", f"/servers/{made}/credentials", credential)["secret"]
        hook = {"name": "All", "url": f"{status['simulator_url']}/webhooks/{made}"}
        self.owner("POST", f"/servers/{made}/webhooks", hook)
        sender = Api(self.owner.url, secret)
        return ApiServer(made, self.owner, sender, f"shop@{self.domain}", self.customer)


def api_tenant_of(customer: Customer) -> ApiTenant:
    """Make an organisation over the API and publish its domain in the stack's DNS."""
    status = customer.status
    name = f"tenant-{secrets.token_hex(4)}"
    platform = Api(status["api_url"], status["platform_key"])
    organisation = platform("POST", "/organisations", {"name": name})["id"]
    key = {"name": "Owner", "scopes": ["*"]}
    secret = platform("POST", f"/organisations/{organisation}/keys", key)["secret"]
    owner = Api(status["api_url"], secret)
    made = owner(
        "POST", f"/organisations/{organisation}/domains", {"name": f"{name}.mailroom.test"}
    )
    path = f"/organisations/{organisation}/domains/{made['id']}"
    publish(customer, owner.get(f"{path}/dns")["records"])
    wait_for(lambda: owner("POST", f"{path}/verify")["verified_at"], what="the domain's proof")
    checked = wait_for(
        lambda: [each for each in [owner("POST", f"{path}/check")] if each["state"] == "ok"],
        what="the domain's records",
    )
    assert checked
    return ApiTenant(organisation, owner, made["name"], customer)


def publish(customer: Customer, records: Sequence[Mapping[str, str]]) -> None:
    """Set the records in the stack's DNS server."""
    ready = json.loads(Path(customer.status["state_dir"], "ready", "dns.json").read_text())
    by_name: dict[str, list[list[str]]] = {}
    for each in records:
        by_name.setdefault(each["name"], []).append([each["type"], each["value"]])
    for name, values in by_name.items():
        answer = customer.http(
            f"http://127.0.0.1:{ready['api_port']}/zone/records/{name}",
            method="PUT",
            data=json.dumps({"records": values}).encode(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status < 300, answer


def put(customer: Customer, url: str, content: bytes) -> int:
    """PUT a file at an upload URL, without a key."""
    return customer.http(url, data=content, headers={"Content-Type": ""}, method="PUT").status
