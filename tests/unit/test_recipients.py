"""One person's data: summed up, exported, erased."""

import json

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.job import JobState
from mailroom.domain.job_file import result_key
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, DeliveryKey, ServerId, Submission
from mailroom.domain.suppression import Reason, Suppression, recipient_hmac
from mailroom.domain.tenancy.record import Change, Record
from mailroom.domain.tenancy.resource import Resource, dump_resource, place_of
from mailroom.fakes.erasure import MemoryErasure
from mailroom.fakes.files import MemoryFiles
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.memory import FixedClock, MemoryLedger
from mailroom.fakes.registry import MemoryRegistry
from mailroom.fakes.search import MemorySearch
from mailroom.fakes.suppressions import MemorySuppressions
from mailroom.usecases.holdings import former_stream
from mailroom.usecases.jobs import JobPorts, NewJob, run_step, start, work_on
from mailroom.usecases.recipients import (
    ERASE,
    EXPORT,
    RecipientPorts,
    erase_step,
    export_step,
    part_name,
    summary,
)

NOW = 1_760_000_000.0
OWNER = "organisation#o"
ANN = "ann@x.test"
FIRST, SECOND, FOREIGN = (ServerId(name * 10) for name in "abc")
SECRET = b"secret"


class Stand:
    """Two servers of one organisation and one of another, and a worker."""

    def __init__(self):
        clock = FixedClock(NOW)
        self.ledger = MemoryLedger()
        self.jobs = JobPorts(MemoryJobs(), MemoryJobQueue(), clock)
        registry = MemoryRegistry()
        for kind, parent, id_, fields in (
            ("server", OWNER, FIRST, {}),
            ("server", OWNER, SECOND, {}),
            ("server", "organisation#p", FOREIGN, {}),
            ("stream", f"server#{FIRST}", "news", {"name": "news"}),
        ):
            resource = Resource(kind, parent, id_, fields)
            record = Record(place_of(kind, parent, id_), dump_resource(resource))
            registry.write([Change.put(record)])
        registry.write([Change.put(former_stream(FIRST, "old"))])
        self.ports = RecipientPorts(
            registry=registry,
            search=MemorySearch(self.ledger),
            ledger=self.ledger,
            suppressions=MemorySuppressions(clock, SECRET),
            erasure=MemoryErasure(self.ledger),
            files=MemoryFiles(),
            hashed=lambda address: recipient_hmac(SECRET, address),
        )
        self.kinds = {
            EXPORT: lambda job, now: export_step(job, now, self.ports),
            ERASE: lambda job, now: erase_step(job, now, self.ports),
        }

    def send(self, number, *recipients, server=FIRST, state=State.SENT):
        """Put a message there, as it is after `state` was reached."""
        body = BodyRef(key=f"30/aa/o/{server}/{number}")
        self.ports.files.stored[body.key] = b"Dear Ann"
        submission = Submission(
            server=server, number=number, accepted_at=NOW - number, expires_at=NOW + 1000,
            mail_from="", from_address="me@demo.test", sign_domain="demo.test",
            subject="Dear Ann", message_id=f"{number}@demo.test", tag=None, size=9,
            recipients=len(recipients), source="api", bounce=False, body=body,
        )  # fmt: skip
        for index, recipient in enumerate(recipients):
            key = DeliveryKey(server, number, index)
            self.ledger.put(Delivery(key, recipient, state, NOW - number, NOW + 1000))
            facts = AttemptFacts(1, f"sent to {recipient}", "250 ok", 250)
            self.ledger.record(Event(f"{key}/1", EventType.SENT, key, NOW, attempt=facts))
        self.ledger.commit(submission)
        return DeliveryKey(server, number, 0)

    def run(self, kind, address=ANN):
        parameters = {"organisation": "o", "address": address}
        start(NewJob(kind, OWNER, "user", parameters), "job_1", self.jobs)
        return work_on("job_1", self.kinds, self.jobs).job

    def exported(self, parts):
        text = b"".join(
            self.ports.files.stored[result_key(OWNER, "job_1", part_name(part))]
            for part in range(1, parts + 1)
        )
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def stand():
    return Stand()


def suppress(stand, scope, address=ANN):
    stand.ports.suppressions.add(scope, Suppression(scope, Reason.COMPLAINT, address, NOW))


def test_a_summary_says_what_there_is_and_nothing_of_others(stand):
    stand.send(1, ANN)
    stand.send(2, "Ann@X.test", server=FIRST)
    stand.send(3, "bob@x.test")
    stand.send(4, ANN, server=FOREIGN)
    scopes = f"stream#{FIRST}#news", f"stream#{FIRST}#old", f"server#{FOREIGN}", "organisation#o"
    for scope in scopes:
        suppress(stand, scope)
    found = summary("o", " ANN@x.test", NOW, stand.ports)
    assert found.address == ANN
    assert [(each.server, each.messages, each.last_at) for each in found.servers] == [
        (FIRST, 2, NOW - 1)
    ]
    assert [each.scope for each in found.suppressions] == [
        "organisation#o",
        f"stream#{FIRST}#news",
        f"stream#{FIRST}#old",
    ]
    assert found.is_complete


def test_an_export_has_messages_events_and_suppressions(stand):
    for number in range(1, 251):
        stand.send(number, ANN, server=SECOND if number % 2 else FIRST)
    stand.send(400, "bob@x.test")
    stand.send(401, ANN, server=FOREIGN)
    suppress(stand, f"server#{SECOND}")
    job = stand.run(EXPORT)
    assert job.state is JobState.DONE
    assert (job.result["messages"], job.result["suppressions"]) == (250, 1)
    lines = stand.exported(job.result["parts"])
    assert [line["type"] for line in lines].count("suppression") == 1
    messages = [line for line in lines if line["type"] == "message"]
    assert len({(each["server"], each["id"]) for each in messages}) == 250
    assert {each["server"] for each in messages} == {FIRST, SECOND}
    assert messages[0]["events"][0]["attempt"]["details"] == f"sent to {ANN}"


def test_nobody_is_an_export_of_one_empty_file(stand):
    job = stand.run(EXPORT, "nobody@x.test")
    assert job.result == {"parts": 1, "messages": 0, "suppressions": 0}
    assert stand.exported(1) == []


def test_an_erasure_takes_everything_that_is_the_person_s_alone(stand):
    key = stand.send(1, ANN)
    suppress(stand, f"stream#{FIRST}#news")
    job = stand.run(ERASE)
    assert (job.state, job.result["erased"], job.result["kept"]) == (JobState.DONE, 1, 0)
    assert stand.ledger.delivery(key).recipient == "erased:" + recipient_hmac(SECRET, ANN)
    assert "ann" not in str(stand.ledger.history(key)).lower()
    assert stand.ledger.submission(FIRST, 1).subject == ""
    assert not [name for name in stand.ports.files.stored if name.startswith("30/")]
    kept = stand.ports.suppressions.get(f"stream#{FIRST}#news", ANN)
    assert (kept.reason, kept.address) == (Reason.COMPLAINT, None)
    assert "address" not in stand.jobs.store.read("job_1").parameters
    assert summary("o", ANN, NOW, stand.ports).servers == []


def test_what_belongs_to_others_too_is_kept_and_named(stand):
    both = stand.send(1, "bob@x.test", ANN)
    waiting = stand.send(2, ANN, state=State.DEFERRED)
    foreign = stand.send(3, ANN, server=FOREIGN)
    job = stand.run(ERASE)
    assert job.result["kept_messages"] == [
        {
            "server": FIRST,
            "id": DeliveryKey(FIRST, 1, 1).postal_id,
            "reason": "body_has_other_recipients",
            "until": NOW - 1 + 30 * 86_400,
        },
        {
            "server": FIRST,
            "id": waiting.postal_id,
            "reason": "on_its_way",
            "until": NOW + 1000,
        },
    ]
    assert (job.result["erased"], job.result["kept"], job.progress.failed) == (1, 2, 1)
    assert stand.ledger.delivery(both).recipient == "bob@x.test"
    assert stand.ledger.submission(FIRST, 1).subject == "Dear Ann"
    assert stand.ledger.delivery(waiting).recipient == ANN
    assert stand.ledger.delivery(foreign).recipient == ANN


def test_an_erasure_that_is_cut_off_goes_on_and_ends_the_same(stand):
    keys = [stand.send(number, ANN) for number in range(1, 251)]
    start(NewJob(ERASE, OWNER, "user", {"organisation": "o", "address": ANN}), "job_1", stand.jobs)
    run_step("job_1", stand.kinds, stand.jobs, NOW)
    kept = stand.jobs.store.stored["job_1"]
    run_step("job_1", stand.kinds, stand.jobs, NOW)
    stand.jobs.store.stored["job_1"] = kept  # as if the worker had died before it was written
    assert work_on("job_1", stand.kinds, stand.jobs).job.state is JobState.DONE
    assert all(stand.ledger.delivery(key).recipient.startswith("erased:") for key in keys)


def test_an_address_is_found_in_every_spelling(stand):
    keys = [
        stand.send(number, f"Ann@{domain}")
        for number, domain in enumerate(["bücher.test", "xn--bcher-kva.test", "XN--BCHER-KVA.test"])
    ]
    job = stand.run(ERASE, "ann@xn--bcher-kva.test")
    assert job.result["erased"] == 3
    assert all(stand.ledger.delivery(key).recipient.startswith("erased:") for key in keys)


def test_a_summary_of_nobody_is_empty(stand):
    found = summary("o", ANN, NOW, stand.ports)
    assert (found.suppressions, found.servers) == ([], [])
