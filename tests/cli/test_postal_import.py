"""The import into a platform in memory: what is made, what is told; a second run repairs."""

import base64
from dataclasses import replace
from functools import partial

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from cli.client import Client, Patience
from cli.openapi import read_operations
from cli.postal.dump import DumpSource
from cli.postal.importer import Importer, counted
from cli.postal.model import Complaint, Suppression
from cli.postal.plan import Naming, plan
from cli.postal.reader import read_installation
from cli.postal.suppressions import import_suppressions
from cli.postal.wish import Action, Wish, decide
from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.domain.tenancy.record import Place
from mailroom.domain.tenancy.spelling import credential_pk
from mailroom.usecases.jobs import work_on
from mailroom.usecases.suppression_import import IMPORT, FilePorts, import_step
from tests.support.management import Management
from tests.support.postal_rows import API_KEY, SMTP_KEY, dkim_key, dump

MADE = (Action.CREATE, Action.UPDATE)


class Platform:
    """A platform, and a client that speaks to it as the tool does."""

    def __init__(self):
        self.management = Management()
        domains = replace(self.management.domains, keys=CryptographyDkimKeys())
        self.management.areas["domains"] = lambda: domains
        self.writes = []
        self.broken = set()
        http = httpx.Client(
            base_url="https://api.example", transport=httpx.MockTransport(self._answer)
        )
        ids = iter(f"i{n}" for n in range(100_000))
        self.client = Client(
            http, self.management.root, Patience(lambda _: None), lambda: next(ids)
        )
        self.operations = read_operations(self.client.call("GET", "/api/v2/openapi.json").body)

    def _answer(self, request):
        path = request.url.path
        if request.method != "GET":
            self.writes.append((request.method, path))
        if any(path.endswith(each) for each in self.broken) and request.method == "POST":
            return httpx.Response(422, json={"error": {"code": "broken", "message": "No."}})
        told = self.management.ask(
            request.method,
            path.removeprefix("/api/v2"),
            request.content.decode() or None,
            query=request.url.query.decode(),
            headers={k: v for k, v in request.headers.items() if k != "content-type"},
        )
        return httpx.Response(told.status, text=told.text, headers=told.headers)

    def run(self, wishes, *, dry=False):
        self.writes.clear()
        return list(Importer(self.client, self.operations, dry=dry).fulfil(wishes))

    def all(self, path):
        return {each["external_id"]: each for each in self.client.items(f"/api/v2{path}")}


@pytest.fixture(scope="module")
def postal(tmp_path_factory):
    path = tmp_path_factory.mktemp("postal") / "postal.sql"
    path.write_text(dump())
    return read_installation(DumpSource([path]))


@pytest.fixture
def wishes(postal):
    return plan(postal, Naming())


@pytest.fixture
def platform():
    return Platform()


def actions(outcomes):
    return {outcome.wish.external_id: outcome.action for outcome in outcomes}


def test_a_second_run_writes_nothing(platform, wishes):
    first = platform.run(wishes)
    assert any(outcome.action is Action.CREATE for outcome in first)
    second = platform.run(wishes)
    assert platform.writes == []
    for before, after in zip(first, second, strict=True):
        expected = Action.SKIP if before.action is Action.CREATE else before.action
        assert (after.action, after.reason) == (
            expected, "is there" if expected is Action.SKIP else before.reason
        )  # fmt: skip


def test_a_dry_run_says_what_a_real_one_would_do_and_writes_nothing(platform, wishes):
    dry = platform.run(wishes, dry=True)
    assert platform.writes == []
    real = actions(platform.run(wishes))
    for name, action in actions(dry).items():
        assert action is Action.CREATE or real[name] is action
    assert platform.run(wishes, dry=True)
    assert platform.writes == []


def test_organisations_and_servers_are_what_they_were(platform, wishes):
    platform.run(wishes)
    organisations = platform.all("/organisations")
    acme = organisations["postal:main:organizations:1"]
    assert (acme["name"], acme["permalink"], acme["time_zone"]) == (
        "Acme Größe", "acme", "Europe/Berlin"
    )  # fmt: skip
    assert organisations["postal:main:organizations:2"]["suspended"] == "owes money"
    servers = platform.all(f"/organisations/{acme['id']}/servers")
    main, tests = servers["postal:main:servers:1"], servers["postal:main:servers:2"]
    assert (main["token"], main["permalink"], main["mode"]) == ("abc123", "main", "live")
    assert main["limits"]["hour"] == 500
    assert (main["retention_days"], main["retention_raw_days"]) == (60, 30)
    assert (main["privacy"], main["allow_sender"]) == (True, True)
    assert main["postmaster_address"] == "post@acme.example"
    assert (tests["mode"], tests["retention_days"]) == ("development", 400)
    pools = platform.all("/pools")
    assert main["pool"] == pools["postal:main:ip_pools:1"]["id"]


def test_no_dns_record_of_a_domain_changes(platform, wishes):
    platform.run(wishes)
    acme = platform.all("/organisations")["postal:main:organizations:1"]["id"]
    main = platform.all(f"/organisations/{acme}/servers")["postal:main:servers:1"]["id"]
    domain = platform.all(f"/servers/{main}/domains")["postal:main:domains:1"]
    assert domain["verified_at"] is not None
    assert domain["receives"]
    (key,) = domain["keys"]
    assert (key["selector"], key["bits"], key["origin"]) == ("postal-ABCDEF", 1024, "postal")
    public = load_pem_private_key(dkim_key().encode(), None).public_key()
    told = platform.management.ask("GET", f"/servers/{main}/domains/{domain['id']}/dns").json
    records = {row["purpose"]: row for row in told["records"]}
    assert records["ownership"]["value"] == "postal-verification " + "v" * 32
    assert records["dkim"]["name"] == "postal-ABCDEF._domainkey.acme.example"
    octets = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b64encode(octets).decode()
    assert records["dkim"]["value"] == f"v=DKIM1; t=s; h=sha256; p={text};"
    assert records["return_path"]["name"] == "psrp.acme.example"
    late = platform.all("/organisations")["postal:main:organizations:2"]["id"]
    (third,) = platform.all(f"/organisations/{late}/servers").values()
    (unproven,) = platform.all(f"/servers/{third['id']}/domains").values()
    assert unproven["verified_at"] is None


def test_keys_open_what_they_opened(platform, wishes):
    platform.run(wishes)
    me = platform.management.ask("GET", "/me", key=API_KEY).json
    assert (me["kind"], set(me["scopes"])) == ("server", {"messages:send", "messages:read"})
    listed = platform.all(f"/servers/{me['server']}/credentials")
    assert listed["postal:main:credentials:2"]["hold"]
    assert listed["postal:main:credentials:3"]["network"] == "192.0.2.0/24"
    assert platform.management.ask("GET", "/me", key=SMTP_KEY).status == 401
    record = platform.management.registry.read(Place(credential_pk(SMTP_KEY)))
    assert record.body["kind"] == "smtp"


def test_suppressions_come_as_jobs_and_expired_ones_do_not(platform, wishes, postal):
    management = platform.management
    importer = Importer(platform.client, platform.operations)
    list(importer.fulfil(wishes))
    files = FilePorts(management.suppressions, management.files)
    kinds = {IMPORT: partial(import_step, ports=files)}

    def wait(_seconds):
        for job, _ in list(management.jobs.queue.woken):
            work_on(job, kinds, management.jobs)

    rows = [
        Suppression(1, "dead@sim.example", "too many hard fails", 1.0, 4e9),
        Suppression(1, "odd@sim.example", "because", 1.0, None),
        Suppression(1, "over@sim.example", "too many hard fails", 1.0, 2.0),
        Suppression(1, "not an address", "x", 1.0, None),
        Suppression(99, "lost@sim.example", "x", 1.0, None),
        Complaint("suppressions", "1/5", "address is empty"),
    ]
    tally = import_suppressions(rows, postal, Naming(), importer, now=10.0, wait=wait)
    assert (tally.taken, tally.refused) == (2, 3)
    main = importer.ids["postal:main:servers:1"]
    found = platform.client.items(f"/api/v2/servers/{main}/suppressions")
    assert {each["address"]: (each["reason"], each["expires_at"]) for each in found} == {
        "dead@sim.example": ("hard_bounce", 4e9), "odd@sim.example": ("import", None)
    }  # fmt: skip


def test_endpoints_webhooks_and_pools_are_what_they_were(platform, wishes):
    platform.run(wishes)
    acme = platform.all("/organisations")["postal:main:organizations:1"]["id"]
    main = platform.all(f"/organisations/{acme}/servers")["postal:main:servers:1"]["id"]
    endpoints = platform.all(f"/servers/{main}/endpoints")
    inbox = endpoints["postal:main:http_endpoints:1"]
    assert (inbox["encoding"], inbox["format"], inbox["timeout"]) == ("form", "raw", 5)
    old = endpoints["postal:main:smtp_endpoints:1"]
    assert (old["hostname"], old["port"], old["tls"]) == ("mail.acme.example", 2525, "starttls")
    hooks = platform.all(f"/servers/{main}/webhooks")
    assert hooks["postal:main:webhooks:1"]["events"] == []
    assert hooks["postal:main:webhooks:2"]["events"] == ["MessageBounced", "MessageSent"]
    pool = platform.all("/pools")["postal:main:ip_pools:2"]
    assert pool["organisations"] == [acme]
    (address,) = platform.all(f"/pools/{pool['id']}/addresses").values()
    assert (address["ipv4"], address["state"]) == ("192.0.2.2", "warm")
    (rule,) = platform.all(f"/servers/{main}/pool-rules").values()
    assert (rule["from"], rule["to"]) == (["news@acme.example"], ["gmail.example"])
    returns = platform.all(f"/servers/{main}/routes")["postal:main:routes:3"]
    assert (returns["token"], returns["name"]) == ("qrstuvwx", "__returnpath__")


def test_what_changed_in_postal_is_changed_here_and_nothing_else(platform, wishes, postal):
    platform.run(wishes)
    changed = [wish if wish.label != "main" else _with(wish, name="Renamed") for wish in wishes]
    found = actions(platform.run(changed))
    assert {n for n, a in found.items() if a is Action.UPDATE} == {
        "postal:main:servers:1", "postal:main:servers:3"
    }  # fmt: skip
    assert {method for method, _ in platform.writes} == {"PATCH"}


def _with(wish, **fields):
    return Wish(
        **{name: getattr(wish, name) for name in Wish.__dataclass_fields__ if name != "fields"},
        fields={**wish.fields, **fields},
    )


def test_what_fails_is_told_and_blocks_only_what_hangs_on_it(platform, wishes):
    platform.broken = {"/servers"}
    found = platform.run(wishes)
    by_name = {outcome.wish.external_id: outcome for outcome in found}
    server = by_name["postal:main:servers:1"]
    assert (server.action, server.reason) == (Action.CONFLICT, "broken (422): No.")
    assert by_name["postal:main:webhooks:1"].action is Action.BLOCKED
    assert by_name["postal:main:ip_pools:1"].action is Action.CREATE
    platform.broken = set()
    repaired = actions(platform.run(wishes))
    assert repaired["postal:main:servers:1"] is Action.CREATE
    assert repaired["postal:main:ip_pools:1"] is Action.SKIP


def test_somebody_elses_object_of_the_same_name_is_a_conflict_and_stays(platform, wishes):
    platform.management.made("/organisations", {"name": "Other", "permalink": "acme"})
    found = {outcome.wish.external_id: outcome for outcome in platform.run(wishes)}
    acme = found["postal:main:organizations:1"]
    assert acme.action is Action.CONFLICT
    assert "permalink" in acme.reason
    assert found["postal:main:servers:1"].action is Action.BLOCKED
    assert found["postal:main:servers:3"].action is Action.CREATE


def test_two_installations_do_not_meet(platform, postal):
    platform.run(plan(postal, Naming(installation="a")))
    second = platform.run(plan(postal, Naming(installation="b")))
    taken = {o.wish.kind for o in second if o.action is Action.CONFLICT}
    assert "organisations" in taken  # their permalinks are the first one's


def test_the_report_counts_by_kind_and_names_every_object(platform, wishes):
    outcomes = platform.run(wishes, dry=True)
    rows = {row["kind"]: row for row in counted(outcomes)}
    assert rows["organisations"]["create"] == 2
    assert rows["servers"]["create"] == 3
    assert sum(sum(v for v in row.values() if isinstance(v, int)) for row in rows.values()) == len(
        wishes
    )
    assert outcomes[0].as_row()["external_id"] == "postal:main:organizations:1"


def test_what_the_platform_does_not_take_is_left_out_and_said():
    wish = Wish("x", "e", "l", "/x", "/x/{id}", fields={"a": 1}, once={"b": 2}, notes=["hm"])
    found = decide(wish, None, {}, frozenset({"a", "external_id"}))
    assert found.body == {"a": 1, "external_id": "e"}
    assert found.reason == "hm; not taken by this platform: b"
    assert decide(wish, None, {"c": 3}, None).body == {
        "a": 1, "b": 2, "c": 3, "external_id": "e"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "there", "changes"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 1}),
        ({"a": 1}, {}, {}),  # a field that is never shown cannot be compared
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}}, {}),
        ({"a": {"x": 1}}, {"a": None}, {"a": {"x": 1}}),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, {}),
        ({"a": "https://u:p@h.example/x"}, {"a": "https://u:***@h.example/x"}, {}),
    ],
)
def test_only_what_differs_is_changed(wanted, there, changes):
    wish = Wish("x", "e", "l", "/x", "/x/{id}", fields=wanted)
    assert decide(wish, {"id": "1", **there}, {}, None).body == changes


def test_keys_that_differ_in_case_alone_are_told(wishes):
    (twin,) = [wish for wish in wishes if wish.external_id == "postal:main:credentials:4"]
    assert "in other case" in twin.problem


def test_secrets_are_in_no_text_of_a_wish(wishes):
    assert "PRIVATE KEY" not in repr(wishes)
    assert "AbCdEfGhIjKl" not in repr(wishes)
