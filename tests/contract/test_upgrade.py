"""From release 0.1: its stored rows are read, become resources, and open what they opened."""

from types import SimpleNamespace

import pytest

from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.adapters.dynamo_directory import DynamoDirectory
from mailroom.adapters.dynamo_ledger import DynamoLedger
from mailroom.adapters.dynamo_migration import (
    DirectoryWalk,
    DropPrivateSet,
    IndexMail,
    RegistryCheckpoints,
)
from mailroom.adapters.dynamo_registry import DynamoRegistry
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.system import SystemChance, SystemClock
from mailroom.adapters.tables import DirectoryRow, WatchRow, bound, mail_tables
from mailroom.domain.message import DeliveryKey, ServerId
from mailroom.domain.tenancy.kinds.credential import CREDENTIAL
from mailroom.domain.tenancy.kinds.domain import DOMAIN
from mailroom.domain.tenancy.kinds.organisation import ORGANISATION
from mailroom.domain.tenancy.kinds.server import SERVER
from mailroom.domain.tenancy.kinds.stream import STREAM
from mailroom.domain.tenancy.kinds.webhook import WEBHOOK
from mailroom.domain.tenancy.record import Change, Place
from mailroom.ports.migration import Batch
from mailroom.usecases.adopt_rows import AdoptPorts, AdoptRows
from mailroom.usecases.migrate import Run, is_finished, resume, step
from mailroom.usecases.registrar import Registrar
from tests.support.snapshot import load, snapshot

pytestmark = pytest.mark.emulator
DEMO, PRIVATE = ServerId("demoserver"), ServerId("privserver")
KEYS = snapshot("0.1")["keys"]


@pytest.fixture
def old(cloud):
    """The tables of release 0.1, with this release's adapters on them."""
    settings, dynamodb = cloud.settings, cloud.client("dynamodb")
    keyring = KmsKeyring(cloud.client("kms"), settings.resource("key", "secrets"))
    load("0.1", dynamodb, lambda name: settings.resource("table", name), keyring.wrap)
    rows = bound(DirectoryRow, settings.resource("table", "directory"))
    registry = DynamoRegistry(rows)
    registrar = Registrar(registry, SystemClock(), SystemChance(), "test")
    walk = DirectoryWalk(dynamodb, settings.resource("table", "directory"))
    tables = mail_tables(settings)
    return SimpleNamespace(
        registry=registry,
        registrar=registrar,
        rows=rows,
        adopt=AdoptRows(AdoptPorts(registrar, walk, keyring, CryptographyDkimKeys())),
        index=IndexMail(dynamodb, settings.resource("table", "mail")),
        drop=DropPrivateSet(dynamodb, settings.resource("table", "directory")),
        checkpoints=RegistryCheckpoints(registry),
        keyring=keyring,
        ledger=DynamoLedger(tables, bound(WatchRow, settings.resource("table", "due"))),
        tables=tables,
    )


def directory(old):
    """A directory that remembers nothing yet."""
    return DynamoDirectory(old.rows, SystemClock(), old.keyring)


def seen(old):
    """What the sending path reads."""
    found = directory(old)
    demo, private = found.server(DEMO), found.server(PRIVATE)
    return {
        "servers": [demo.name, demo.token, demo.tracking, private.suspended, private.mode],
        "limits": [private.send_limit or private.limits.hour, private.allow_sender],
        "credentials": [
            (each.id, each.server, each.hold, each.cram, each.scopes)
            for each in (
                found.credential(KEYS["demoserver api"], "api"),
                found.credential(KEYS["demoserver smtp"], "smtp"),
                found.credential(KEYS["privserver api"], "api"),
                found.address_credential("192.0.2.77"),
            )
        ],
        "cram": [(c.id, secret) for c, secret in found.cram_secrets("demo/main")],
        "domains": [
            (each.name, each.owner, each.selector, each.return_path_ok, each.return_path_label)
            for each in (
                found.sending_domain(demo, "demo.mailroom.test"),
                found.sending_domain(private, "acme.example"),
            )
        ],
        "unproven": found.sending_domain(private, "other.acme.example"),
        "keys": [
            old.keyring.unwrap(d.wrapped_key, d.owner)
            for d in (found.domain("acme.example", "organisation#acme"),)
        ],
        "webhooks": [(w.id, w.url, w.events) for w in found.webhooks(DEMO)]
        + [(w.id, w.url, w.views) for w in found.webhooks(PRIVATE)],
        "private": found.private_servers(),
        "platform": {p: len(found.keys(p)) for p in ("tracking", "verp", "token", "webhook")},
        "blocked": found.block_list(),
    }


def run(work, old, *, dry=False, of=1, complaints=None):
    """Walk all parts to their end; return (looked, changed, failed)."""
    told = [] if complaints is None else complaints
    how = Run(of, dry, lambda item, error: told.append((item, error)))
    sums = [0, 0, 0]
    for part in range(of):
        at = resume(work, part, how, old.checkpoints)
        while not at.finished:
            at = step(work, part, at, how, old.checkpoints)
        sums = [s + n for s, n in zip(sums, (at.looked, at.changed, at.failed), strict=True)]
    return tuple(sums)


def listed(old, kind, parent):
    found, _ = old.registrar.page(kind, parent, limit=100)
    return {each.id: each for each in found}


def test_this_release_reads_the_rows_of_the_one_before(old):
    found = seen(old)
    assert found["private"] == {PRIVATE}
    assert found["cram"] == [("demo-smtp", KEYS["demoserver smtp"])]
    assert found["limits"] == [500, True]
    numbers = {row["pk"]["S"] for row in snapshot("0.1")["tables"]["mail"]}
    for pk in numbers:
        number = int(pk.partition("#")[2])
        submission = old.ledger.submission(DEMO, number)
        assert submission.from_address == "hello@demo.mailroom.test"
        for delivery in old.ledger.deliveries(DEMO, number):
            assert old.ledger.delivery(DeliveryKey(DEMO, number, delivery.key.index)) == delivery
            assert len(old.ledger.history(delivery.key)) == {"queued": 0, "sent": 2}.get(
                str(delivery.state), 1
            )


def test_rows_become_resources_and_open_what_they_opened(old):
    before = seen(old)
    looked, changed, failed = run(old.adopt, old)
    assert failed == 0
    assert changed == 12  # 2 servers, 4 credentials, 3 domains, 3 webhooks
    assert looked > changed
    assert seen(old) == before
    organisations = listed(old, ORGANISATION, "platform")
    assert set(organisations) == {"demo", "acme"}
    servers = listed(old, SERVER, "organisation#acme")
    assert servers[PRIVATE].fields["limits"]["hour"] == 500
    assert servers[PRIVATE].fields["suspended"] == "owed money"
    assert set(listed(old, STREAM, f"server#{DEMO}")) == {"transactional", "broadcast"}
    credentials = listed(old, CREDENTIAL, f"server#{DEMO}")
    assert {c.fields["type"] for c in credentials.values()} == {"API", "SMTP"}
    (network,) = [
        c for c in listed(old, CREDENTIAL, f"server#{PRIVATE}").values()
        if c.fields["type"] == "SMTP-IP"
    ]  # fmt: skip
    assert network.fields["network"] == "192.0.2.0/24"
    (own,) = listed(old, DOMAIN, "organisation#acme").values()
    assert (own.fields["name"], own.fields["keys"][0]["state"]) == ("acme.example", "active")
    assert own.fields["keys"][0]["bits"] == 2048
    assert set(listed(old, WEBHOOK, f"server#{PRIVATE}")) == {"hook1"}
    assert set(listed(old, WEBHOOK, "organisation#acme")) == {"orghook"}


def test_a_second_run_changes_nothing(old):
    run(old.adopt, old)
    assert is_finished(old.adopt, 1, old.checkpoints)
    assert run(old.adopt, old, of=2)[1:] == (0, 0)


def test_a_dry_run_counts_and_writes_nothing(old):
    assert run(old.adopt, old, dry=True)[1:] == (12, 0)
    assert listed(old, SERVER, "organisation#acme") == {}
    assert old.checkpoints.read("resources", 0) is None


def test_a_stopped_migration_goes_on_where_it_was(old):
    class Short:
        """The same work in batches of three rows, seen by their places."""

        name = "resources"
        plan, apply = old.adopt.plan, old.adopt.apply

        def __init__(self):
            self.places = []

        def batch(self, part, of, after):
            whole = old.adopt.batch(part, of, "").items
            begin = int(after or 0)
            self.places += [item.place for item in whole[begin : begin + 3]]
            more = begin + 3 < len(whole)
            return Batch(whole[begin : begin + 3], str(begin + 3) if more else "")

    how = Run(1, dry=False, complain=lambda *_: None)
    # Made rows would move the places of others, so they are made all at once first.
    run(old.adopt, old)
    first, second = Short(), Short()
    at = step(first, 0, resume(first, 0, Run(1, dry=True, complain=lambda *_: None),
              old.checkpoints), how, old.checkpoints)  # fmt: skip
    assert not at.finished
    again = resume(second, 0, how, old.checkpoints)
    assert again == at
    while not again.finished:
        again = step(second, 0, again, how, old.checkpoints)
    assert not set(first.places) & set(second.places)
    assert again.looked == len(first.places) + len(second.places)


def test_a_row_nothing_can_be_done_about_is_told_and_the_rest_goes_on(old):
    bad = old.registry.read(Place("domain#demo.mailroom.test", f"server#{DEMO}"))
    old.registry.write([Change(bad.place, None)])
    orphan = Change.put(type(bad)(Place("domain#lost.example", "server#nowhereaaa"), bad.body))
    old.registry.write([orphan])
    complaints = []
    _, changed, failed = run(old.adopt, old, complaints=complaints)
    assert (changed, failed) == (11, 1)
    assert complaints[0][0].place.partition == "domain#lost.example"
    assert not is_finished(old.adopt, 1, old.checkpoints)
    old.registry.write([Change(Place("domain#lost.example", "server#nowhereaaa"), None)])
    assert run(old.adopt, old)[1:] == (0, 0)  # begins anew after failures
    assert is_finished(old.adopt, 1, old.checkpoints)


def test_old_messages_are_found_by_the_new_indexes(old):
    _, changed, failed = run(old.index, old, of=4)
    assert (changed, failed) == (7, 0)  # three submissions, four deliveries
    assert run(old.index, old)[1:] == (0, 0)
    (row,) = [r for r in old.tables.submission.scan() if getattr(r, "tag", None) == "welcome"]
    assert row.tag_key.startswith(f"{DEMO}#welcome#")
    assert row.mid_key.startswith(f"{DEMO}#")


def test_the_set_of_private_servers_goes_once_each_has_a_row_of_its_own(old):
    complaints = []
    assert run(old.drop, old, complaints=complaints) == (1, 0, 1)
    run(old.adopt, old)
    assert run(old.drop, old) == (1, 1, 0)
    assert directory(old).private_servers() == {PRIVATE}
    assert run(old.drop, old, of=2) == (0, 0, 0)
