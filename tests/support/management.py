"""The management API over ports in memory: a platform of a test's own that answers at once."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mail_api.door import door
from mail_api.routes import create_app
from mail_api.v2.desk import Desk, Rates
from mail_api.v2.resources.egress_calls import EgressArea
from mail_api.v2.resources.statistics import StatisticsArea

from mailroom.adapters.chalice_http import Handler, http_api
from mailroom.domain.dns.records import PlatformNames
from mailroom.domain.suppression import recipient_hmac
from mailroom.domain.tenancy.access import ALL
from mailroom.domain.tenancy.record import Change, Place, Record
from mailroom.domain.tenancy.spelling import credential_pk
from mailroom.fakes.control import MemoryControl
from mailroom.fakes.dns import MemoryDkimKeys, MemoryDns, MemorySpf
from mailroom.fakes.erasure import MemoryErasure
from mailroom.fakes.files import MemoryFiles
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedChance, FixedClock
from mailroom.fakes.notifying import MemoryNotifications
from mailroom.fakes.people import MemoryAppMail, MemoryLastUse
from mailroom.fakes.registry import MemoryKeyring, MemoryRegistry
from mailroom.fakes.requests import MemoryAnswers, MemoryRequestLimits
from mailroom.fakes.search import MemorySearch
from mailroom.fakes.server_facts import MemoryServerFacts
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.domain_checks import DomainPorts
from mailroom.usecases.jobs import JobPorts
from mailroom.usecases.recipients import RecipientPorts
from mailroom.usecases.registrar import Registrar
from tests.support.api_calls import MemoryApi, http_event
from tests.support.counting import memory_area

ENVIRONMENT = "test"
RECIPIENTS = b"the key of recipients' hashes"


@dataclass(frozen=True)
class Told:
    """An answer: status, JSON (or text), and headers in lower case."""

    status: int
    json: Any
    headers: dict[str, str]
    text: str = ""


@dataclass
class Management:
    """A platform with one administrator's key; `ask` calls it as the gateway would."""

    memory: MemoryApi = field(default_factory=MemoryApi)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    rates: Rates = field(default_factory=lambda: Rates(limit=1_000_000))
    areas: dict[str, Any] = field(default_factory=dict)
    last_use: MemoryLastUse = field(default_factory=MemoryLastUse)
    mail: MemoryAppMail = field(default_factory=MemoryAppMail)
    calls: MemoryNotifications = field(default_factory=MemoryNotifications)
    files: MemoryFiles = field(default_factory=MemoryFiles)
    names: MemoryDns = field(default_factory=MemoryDns)
    control: MemoryControl = field(default_factory=MemoryControl)

    def __post_init__(self) -> None:
        self.areas = {**self.standard_areas(), **self.areas}
        self.root = self.key("platform", id_="key_root", scopes=[ALL])

    @cached_property
    def desk(self) -> Desk:
        return Desk(
            registrar=Registrar(self.registry, self.memory.clock, FixedChance(7), ENVIRONMENT),
            registry=self.registry,
            keyring=MemoryKeyring(),
            answers=MemoryAnswers(),
            limits=MemoryRequestLimits(),
            api=lambda: self.memory.api,
            last_use=self.last_use,
            rates=self.rates,
            tracking_url="https://track.mail.test",
            areas=self.areas,
        )

    @property
    def clock(self) -> FixedClock:
        """The platform's clock."""
        return self.memory.clock

    def standard_areas(self) -> dict[str, Any]:
        """Return the ports of every area of the API, in memory."""
        return {
            "webhook_calls": lambda: self.calls,
            "domains": lambda: self.domains,
            "invitations": lambda: (self.mail, "https://console.mail.test"),
            "jobs": lambda: self.jobs,
            "search": lambda: self.search,
            "suppressions": lambda: self.suppressions,
            "files": lambda: self.files,
            "recipients": lambda: self.recipients,
            "statistics": lambda: self.statistics,
            "egress": lambda: EgressArea(self.control),
        }

    @cached_property
    def statistics(self) -> StatisticsArea:
        """Counters, limits and brakes."""
        return memory_area()

    @cached_property
    def search(self) -> MemorySearch:
        """What finds messages."""
        return MemorySearch(self.memory.ledger)

    @cached_property
    def recipients(self) -> RecipientPorts:
        """Where people's data lies."""
        return RecipientPorts(
            registry=self.registry,
            search=self.search,
            ledger=self.memory.ledger,
            suppressions=self.suppressions,
            erasure=MemoryErasure(self.memory.ledger),
            files=self.files,
            hashed=lambda address: recipient_hmac(RECIPIENTS, address),
        )

    @cached_property
    def suppressions(self) -> MemorySuppressions:
        """Who gets no mail."""
        return MemorySuppressions(self.clock, RECIPIENTS)

    @cached_property
    def jobs(self) -> JobPorts:
        """Where jobs are kept; nobody works on them unless a test does."""
        return JobPorts(MemoryJobs(), MemoryJobQueue(), self.clock)

    @cached_property
    def domains(self) -> DomainPorts:
        """The ports of domains; `names` is the DNS."""
        return DomainPorts(
            registrar=self.desk.registrar,
            keyring=self.desk.keyring,
            dns=self.names,
            spf=MemorySpf(self.names),
            keys=MemoryDkimKeys(),
            facts=MemoryServerFacts(),
            platform=PlatformNames(
                spf_include="spf.mail.test",
                return_path="rp.mail.test",
                tracking="track.mail.test",
                mx=("mx1.mail.test",),
            ),
        )

    @cached_property
    def handler(self) -> Handler:
        def api() -> Any:
            return self.memory.api

        return door(create_app(api), api, lambda: self.desk, http_api)

    def key(self, kind: str, *, id_: str, **body: Any) -> str:
        """Write a key as it would lie in the directory; return its secret."""
        secret = f"secret-of-{id_}"
        record = Record(
            Place(credential_pk(secret)), {"id": id_, "kind": kind, "name": id_, **body}
        )
        self.registry.write([Change.put(record)])
        return secret

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        headers: dict[str, str] | None = None,
        query: str = "",
    ) -> Told:
        """Call `/api/v2<path>`; without `key` as the administrator, with None as nobody."""
        sent = {"content-type": "application/json", **(headers or {})}
        if key is not None:
            sent["authorization"] = f"Bearer {key or self.root}"
        text = body if isinstance(body, (str, bytes, type(None))) else json.dumps(body)
        event = http_event(method, f"/api/v2{path}", text, headers=sent, query=query)
        answer = self.handler(event, None)
        content = answer["body"]
        is_json = answer["headers"].get("content-type", "").startswith("application/json")
        told = json.loads(content) if content and is_json else None
        return Told(answer["statusCode"], told, answer["headers"], content)

    def made(self, path: str, body: Any, **options: Any) -> Any:
        """Create something and return it; anything but 201 fails."""
        told = self.ask("POST", path, body, **options)
        assert told.status == 201, told
        return told.json

    def organisation(self, name: str = "Acme") -> str:
        """Make an organisation; return its id."""
        return str(self.made("/organisations", {"name": name})["id"])

    def server(self, organisation: str, name: str = "Main") -> str:
        """Make a server; return its id."""
        return str(self.made(f"/organisations/{organisation}/servers", {"name": name})["id"])

    def organisation_key(self, organisation: str, *scopes: str) -> str:
        """Return a key of an organisation; without `scopes` it may do everything there."""
        return self.key(
            "organisation",
            id_=f"key_{organisation}_{len(scopes)}",
            organisation=organisation,
            scopes=list(scopes) or [ALL],
        )

    def server_key(self, server: str, *scopes: str) -> str:
        """Return an API key of a server; without `scopes` it may do everything there."""
        return self.key(
            "api", id_=f"key_{server}_{len(scopes)}", server=server, scopes=list(scopes) or [ALL]
        )
