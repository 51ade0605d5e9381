"""Suppressions, jobs and people's data over the management API."""

from functools import partial
from typing import Any

import pytest

from mailroom.domain.job import MAX_TRIES
from mailroom.domain.lifecycle import State
from mailroom.domain.message import ServerId
from mailroom.domain.suppression import Reason, Suppression
from mailroom.domain.tenancy.kinds.every import KINDS
from mailroom.fakes.erasure import MemoryRemoval
from mailroom.usecases import organisation_removal, recipients, suppression_import
from mailroom.usecases.jobs import Step, work_on
from tests.support.management import Management, Told
from tests.support.many_messages import made_delivery, made_submission

ANN = "ann@x.test"


class Office:
    """A platform with two organisations, one server, and a worker."""

    def __init__(self) -> None:
        self.platform = Management()
        self.organisation = self.platform.organisation()
        self.other = self.platform.organisation("Other")
        self.server = self.platform.server(self.organisation)
        self.key = self.platform.organisation_key(self.organisation)
        self.here = f"/servers/{self.server}"
        self.there = f"/organisations/{self.organisation}"

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Told:
        return self.platform.ask(method, path, body, key=options.pop("key", self.key), **options)

    @property
    def kinds(self) -> dict[str, Step]:
        world = self.platform
        files = suppression_import.FilePorts(world.suppressions, world.files)
        removal = organisation_removal.RemovalPorts(
            world.registry,
            MemoryRemoval(world.memory.ledger, world.registry),
            world.suppressions,
            world.files,
            KINDS,
        )
        return {
            suppression_import.IMPORT: partial(suppression_import.import_step, ports=files),
            suppression_import.EXPORT: partial(suppression_import.export_step, ports=files),
            recipients.EXPORT: partial(recipients.export_step, ports=world.recipients),
            recipients.ERASE: partial(recipients.erase_step, ports=world.recipients),
            organisation_removal.DELETE: partial(organisation_removal.delete_step, ports=removal),
        }

    def finished(self, told: Told, **options: Any) -> Any:
        """Work on the job that a call started; return what is told of it then."""
        assert told.status == 202, told
        assert told.headers["location"] == f"/api/v2/jobs/{told.json['id']}"
        work_on(told.json["id"], self.kinds, self.platform.jobs)
        return self.ask("GET", f"/jobs/{told.json['id']}", **options).json

    def send(self, number: int, state: State = State.SENT) -> None:
        ledger, at = self.platform.memory.ledger, self.platform.clock.at
        made = made_submission(number, at - number, server=ServerId(self.server))
        ledger.reserve([made_delivery(made, 0, ANN, state=state)])
        ledger.commit(made)


@pytest.fixture
def office() -> Office:
    return Office()


def test_an_address_is_suppressed_found_and_let_go(office: Office) -> None:
    for where in (office.here, office.there):
        body = {"address": "Ann@X.test", "detail": "asked by phone"}
        told = office.ask("POST", f"{where}/suppressions", body)
        assert (told.status, told.json["address"], told.json["reason"]) == (201, ANN, "manual")
        assert told.json["scope"].startswith(where[1:].partition("s/")[0])
        assert told.json["source"].startswith("organisation:key_")
        assert office.ask("POST", f"{where}/suppressions", body).status == 200
        one = f"{where}/suppressions/ann%40X.test"
        assert office.ask("GET", one).json == told.json
        assert office.ask("GET", f"{where}/suppressions").json["data"] == [told.json]
        assert office.ask("DELETE", one).status == 204
        assert office.ask("DELETE", one).status == 404
        assert office.ask("GET", one).status == 404


def test_a_stream_has_suppressions_of_its_own(office: Office) -> None:
    body = {"address": ANN, "stream": "broadcast", "reason": "unsubscribe"}
    told = office.ask("POST", f"{office.here}/suppressions", body)
    assert told.json["scope"] == f"stream#{office.server}#broadcast"
    one = f"{office.here}/suppressions/{ANN}"
    assert office.ask("GET", one).status == 404
    assert office.ask("GET", one, query="stream=broadcast").json == told.json
    listed = office.ask("GET", f"{office.here}/suppressions", query="stream=broadcast")
    assert listed.json["data"] == [told.json]
    assert office.ask("GET", f"{office.here}/suppressions").json["data"] == []
    assert office.ask("DELETE", one, query="stream=broadcast").status == 204


def test_suppressions_of_a_stream_outlast_it(office: Office) -> None:
    streams = f"{office.here}/streams"
    office.ask("POST", streams, {"name": "news", "class": "broadcast"})
    office.ask("POST", f"{office.here}/suppressions", {"address": ANN, "stream": "news"})
    assert office.ask("DELETE", f"{streams}/news").status == 204
    told = office.ask("GET", f"{office.here}/suppressions", query="stream=news")
    assert (told.status, told.json["error"]["fields"][0]["path"]) == (422, "stream")
    [found] = office.ask("GET", f"/recipients/{ANN}").json["suppressions"]
    assert found["scope"] == f"stream#{office.server}#news"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"address": "nobody"}, "address"),
        ({"address": ANN, "expires_at": 5}, "expires_at"),
        ({"address": ANN, "stream": "nothing"}, "stream"),
        ({"address": ANN, "reason": "bored"}, "reason"),
        ({"address": ANN, "scope": "organisation#x"}, "scope"),
        ({"address": ANN, "detail": "x" * 1001}, "detail"),
        ({}, "address"),
    ],
)
def test_a_suppression_that_cannot_be_is_refused(office: Office, body: Any, path: str) -> None:
    told = office.ask("POST", f"{office.here}/suppressions", body)
    assert (told.status, told.json["error"]["fields"][0]["path"]) == (422, path)


def test_a_list_has_pages_and_a_filter(office: Office) -> None:
    for number in range(7):
        reason = "complaint" if number % 2 else "manual"
        body = {"address": f"r{number}@x.test", "reason": reason}
        office.ask("POST", f"{office.there}/suppressions", body)
    seen: list[str] = []
    query = "limit=3"
    while query:
        told = office.ask("GET", f"{office.there}/suppressions", query=query).json
        seen += [each["address"] for each in told["data"]]
        query = f"limit=3&cursor={told['next_cursor']}" if told["next_cursor"] else ""
    assert sorted(seen) == [f"r{number}@x.test" for number in range(7)]
    told = office.ask("GET", f"{office.there}/suppressions", query="reason=complaint")
    assert len(told.json["data"]) == 3
    for wrong in ("cursor=%21", "cursor=bm9uZQ", "reason=x", "stream=broadcast"):
        assert office.ask("GET", f"{office.there}/suppressions", query=wrong).status == 422


def test_an_erased_person_stays_suppressed_and_unnamed(office: Office) -> None:
    scope = f"server#{office.server}"
    store = office.platform.suppressions
    store.add(scope, Suppression(scope, Reason.COMPLAINT, ANN, office.platform.clock.at))
    store.erase(scope, ANN)
    assert office.ask("GET", f"{office.here}/suppressions").json["data"][0]["address"] is None
    told = office.ask("POST", f"{office.here}/suppressions", {"address": ANN})
    assert (told.status, told.json["reason"], told.json["address"]) == (200, "complaint", ANN)


def test_changes_are_in_the_audit_log_without_the_address(office: Office) -> None:
    office.ask("POST", f"{office.here}/suppressions", {"address": ANN})
    office.ask("DELETE", f"{office.here}/suppressions/{ANN}")
    office.ask("DELETE", f"{office.there}/recipients/{ANN}")
    records = office.platform.registry._records
    entries = [r.body for p, r in records.items() if p.partition.startswith("audit#")]
    assert {"suppress", "unsuppress", "erase"} <= {each["action"] for each in entries}
    assert ANN not in str(entries)


def test_a_text_is_imported_and_its_bad_lines_can_be_fetched(office: Office) -> None:
    body = {"text": "email,created\nann@x.test,1\nnobody,1\n", "reason": "hard_bounce"}
    told = office.ask("POST", f"{office.here}/suppression-imports", body)
    job = office.finished(told)
    assert (job["state"], job["kind"]) == ("done", "import_suppressions")
    assert job["progress"] == {"done": 1, "failed": 1, "total": 2}
    assert (job["result"]["added"], job["result"]["product"]) == (1, "sendgrid")
    assert [each["name"] for each in job["files"]] == ["errors.csv"]
    assert office.platform.suppressions.get(f"server#{office.server}", ANN).reason == "hard_bounce"


def test_a_long_file_is_put_elsewhere_first(office: Office) -> None:
    told = office.ask("POST", f"{office.there}/suppression-uploads", {"size": 20})
    assert (told.status, told.json["method"]) == (201, "PUT")
    key = told.json["url"].removeprefix("https://files.test/").partition("?")[0]
    office.platform.files.put(key, b"ann@x.test\nbob@x.test", "text/csv")
    body = {"upload": told.json["upload"], "format": "csv"}
    job = office.finished(office.ask("POST", f"{office.there}/suppression-imports", body))
    assert (job["state"], job["result"]["added"]) == ("done", 2)
    # Under another's name it is not there.
    other = office.platform.organisation_key(office.other)
    path = f"/organisations/{office.other}/suppression-imports"
    job = office.finished(office.ask("POST", path, body, key=other), key=other)
    assert (job["state"], job["result"]) == ("failed", {})


@pytest.mark.parametrize(
    "body", [{}, {"text": "x", "upload": "y"}, {"upload": "../x"}, {"upload": "upl_x"}]
)
def test_an_import_needs_one_file(office: Office, body: Any) -> None:
    assert office.ask("POST", f"{office.here}/suppression-imports", body).status == 422


def test_an_export_has_links_for_those_who_may_read_it(office: Office) -> None:
    office.ask("POST", f"{office.here}/suppressions", {"address": ANN})
    job = office.finished(office.ask("POST", f"{office.here}/suppression-exports", {}))
    assert job["result"] == {"parts": 1, "rows": 1}
    [file] = job["files"]
    assert file["name"] == "suppressions-0001.csv"
    key = file["url"].removeprefix("https://files.test/").partition("?")[0]
    assert ANN in office.platform.files.stored[key].decode()
    blind = office.platform.organisation_key(office.organisation, "jobs:read")
    assert office.ask("GET", f"/jobs/{job['id']}", key=blind).json["files"] == []


def test_jobs_are_listed_and_stopped_by_their_owner_alone(office: Office) -> None:
    ids = [
        office.ask("POST", f"{office.here}/suppression-exports", {}).json["id"] for _ in range(3)
    ]
    listed = office.ask("GET", f"{office.here}/jobs", query="limit=2").json
    rest = office.ask("GET", f"{office.here}/jobs", query=f"cursor={listed['next_cursor']}").json
    assert [each["id"] for each in [*listed["data"], *rest["data"]]] == sorted(ids, reverse=True)
    assert office.ask("GET", f"{office.there}/jobs").json["data"] == []
    stranger = office.platform.organisation_key(office.other)
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/pause"), ("POST", "/resume")):
        told = office.ask(method, f"/jobs/{ids[0]}{path}", key=stranger)
        unknown = office.ask(method, f"/jobs/none{path}", key=stranger)
        assert (told.status, told.json) == (404, unknown.json)
    reader = office.platform.organisation_key(office.organisation, "jobs:read")
    assert office.ask("POST", f"/jobs/{ids[0]}/cancel", key=reader).status == 403
    server_key = office.platform.server_key(office.server)
    assert office.ask("POST", f"/jobs/{ids[0]}/pause", key=server_key).json["state"] == "paused"
    assert office.ask("POST", f"/jobs/{ids[0]}/resume").json["state"] == "queued"
    assert office.ask("POST", f"/jobs/{ids[0]}/cancel").json["state"] == "cancelled"
    told = office.ask("POST", f"/jobs/{ids[0]}/resume")
    assert (told.status, told.json["error"]["code"]) == (409, "job_conflict")


def test_a_job_that_fails_says_why(office: Office) -> None:
    told = office.ask("POST", f"{office.here}/suppression-imports", {"text": "name\nann\n"})
    job = office.finished(told)
    assert job["state"] == "failed"
    assert "no column" in job["error"]
    assert MAX_TRIES > 1  # it was not tried again


def test_one_has_so_many_jobs_at_a_time(office: Office) -> None:
    path = f"{office.here}/suppression-exports"
    told = [office.ask("POST", path, {}) for _ in range(21)]
    assert {each.status for each in told[:20]} == {202}
    assert (told[20].status, told[20].json["error"]["code"]) == (409, "too_many_jobs")


def test_a_person_s_data_is_summed_up_copied_and_erased(office: Office) -> None:
    office.send(1)
    office.send(2, State.DEFERRED)
    office.ask("POST", f"{office.here}/suppressions", {"address": ANN})
    for path in (f"{office.there}/recipients/Ann%40x.test", "/recipients/ann@x.test"):
        told = office.ask("GET", path)
        assert told.status == 200, told
        assert (told.json["address"], told.json["is_complete"]) == (ANN, True)
        assert [(each["server"], each["messages"]) for each in told.json["servers"]] == [
            (office.server, 2)
        ]
        assert [each["reason"] for each in told.json["suppressions"]] == ["manual"]
    job = office.finished(office.ask("POST", f"/recipients/{ANN}/export", {}))
    assert (job["result"]["messages"], job["result"]["suppressions"]) == (2, 1)
    assert [each["name"] for each in job["files"]] == ["recipient-0001.jsonl"]
    blind = office.platform.organisation_key(office.organisation, "jobs:read")
    assert office.ask("GET", f"/jobs/{job['id']}", key=blind).json["files"] == []
    job = office.finished(office.ask("DELETE", f"/recipients/{ANN}"))
    assert (job["result"]["erased"], job["result"]["kept"]) == (1, 1)
    assert job["result"]["kept_messages"][0]["reason"] == "on_its_way"
    told = office.ask("GET", f"/recipients/{ANN}").json
    assert [each["address"] for each in told["suppressions"]] == [None]
    assert ANN not in str(office.ask("GET", f"/jobs/{job['id']}").json)


def test_people_s_data_is_for_those_who_may(office: Office) -> None:
    assert office.ask("GET", "/recipients/nobody").status == 422
    server_key = office.platform.server_key(office.server)
    assert office.ask("GET", f"/recipients/{ANN}", key=server_key).status == 403
    assert office.ask("GET", f"/recipients/{ANN}", key=office.platform.root).status == 400
    stranger = office.platform.organisation_key(office.other)
    assert office.ask("GET", f"{office.there}/recipients/{ANN}", key=stranger).status == 404
    reader = office.platform.organisation_key(office.organisation, "recipients:read")
    assert office.ask("DELETE", f"/recipients/{ANN}", key=reader).status == 403


def test_a_deleted_organisation_goes_for_good_after_its_time_or_when_it_must(
    office: Office,
) -> None:
    root = office.platform.root
    assert office.ask("DELETE", office.there, key=root).status == 204
    [job] = office.ask("GET", "/jobs", key=root).json["data"]
    assert (job["kind"], job["state"]) == ("delete_organisation", "queued")
    assert job["starts_at"] == office.platform.clock.at + 30 * 86_400
    assert (
        office.ask("GET", "/jobs", key=office.platform.organisation_key(office.other)).status == 403
    )
    gone = f"/deleted-organisations/{office.organisation}"
    assert office.finished(office.ask("POST", f"{gone}/purge", {}, key=root), key=root)[
        "state"
    ] == ("done")
    assert office.ask("POST", f"{gone}/restore", key=root).status == 404
    assert office.ask("POST", f"{gone}/purge", {}, key=root).status == 404
    texts = [str(place) for place in office.platform.registry._records]
    left = [text for text in texts if office.organisation in text or office.server in text]
    assert left == []
