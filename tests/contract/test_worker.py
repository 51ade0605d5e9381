"""The worker's Lambda as it is wired, with the addresses its access gives it and no others."""

import json

import mail_scheduler.wiring
import pytest
from mail_scheduler.working import work

from localstack.naming import environment
from localstack.resources import load_resources
from mailroom.adapters.clients import client
from mailroom.adapters.directory_rows import DirectoryRows
from mailroom.adapters.dynamo_jobs import DynamoJobs
from mailroom.adapters.kms_keyring import KmsKeyring
from mailroom.adapters.sqs_jobs import SqsJobs
from mailroom.adapters.system import SystemClock
from mailroom.adapters.tables import DirectoryRow, bound
from mailroom.domain.job import JobState
from mailroom.domain.job_file import result_key, upload_key
from mailroom.usecases.jobs import JobPorts, NewJob, start
from tests.support.emulator import ROOT

OWNER = "server#abcdefghij"

pytestmark = pytest.mark.emulator


@pytest.fixture
def worker(cloud, monkeypatch):
    """(settings, the worker's wiring) under the variables of the function `worker` alone."""
    names = {v: n for v, n in cloud.settings.resources.items() if v.startswith("MAILROOM_")}
    access = load_resources(ROOT).functions["worker"].access
    places = {each.place: each.place.upper().replace(":", "_").replace("-", "_") for each in access}
    addresses = {place: names[f"MAILROOM_{name}"] for place, name in places.items()}
    for name, value in environment(access, addresses, {"MAILROOM_TRACE_RATE": "0"}).items():
        monkeypatch.setenv(name, value)
    wiring = mail_scheduler.wiring
    made = [each for each in vars(wiring).values() if hasattr(each, "cache_clear")]
    for each in made:
        each.cache_clear()
    yield cloud.settings, wiring
    for each in made:
        each.cache_clear()


def test_all_kinds_of_jobs_can_be_worked_on(worker):
    _, wiring = worker
    assert {"import_suppressions", "erase_recipient", "delete_organisation"} <= set(wiring.kinds())


def test_an_import_runs_from_its_queue_to_the_table(worker):
    settings, wiring = worker
    keyring = KmsKeyring(client("kms"), settings.resource("key", "secrets"))
    rows = DirectoryRows(bound(DirectoryRow, settings.resource("table", "directory")), keyring)
    rows.put_key("recipients", "k", b"secret" * 6, created_at=1.0)
    sqs, url = client("sqs"), settings.resource("queue", "jobs")
    ports = JobPorts(DynamoJobs(settings), SqsJobs(sqs, url), SystemClock())
    lines = "".join(f"r{number}@x.test\n" for number in range(500))
    file = upload_key(OWNER, "upl_1")
    wiring.files().put(file, f"email\n{lines}nobody\n".encode(), "text/csv")
    parameters = {"file": file, "scope": OWNER, "reason": "import", "format": ""}
    start(NewJob("import_suppressions", OWNER, "user", parameters), "job_1", ports)
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    event = {"Records": [{"messageId": "1", "body": message["Body"]}]}
    assert json.loads(message["Body"])["job"] == "job_1"
    work(event, wiring.kinds(), wiring.job_ports())
    job = ports.store.read("job_1")
    assert (job.state, job.progress.done, job.progress.failed) == (JobState.DONE, 500, 1)
    assert wiring.suppressions().get(OWNER, "R7@x.test").source == "job job_1"
    report = wiring.files().read(result_key(OWNER, "job_1", "errors.csv"), 0, 1000)
    assert report.decode().splitlines()[1] == "502,an address is written local@domain,nobody"
