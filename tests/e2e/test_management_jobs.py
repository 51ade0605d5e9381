"""Long work and the other doors of a tenant made over the management API: imports and exports,
one person's data, webhooks made again, SMTP with the API's credentials, an organisation's end.
"""

import json
import secrets
import smtplib
from copy import copy

import pytest

from tests.support.api_tenant import Api, ApiServer, ApiTenant, api_tenant_of
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack


def box(behaviour: str = "accept") -> str:
    return f"{behaviour}+{secrets.token_hex(6)}@sim.test"


def fetched(server: ApiServer, url: str) -> str:
    answer = server.customer.http(url)
    assert answer.status == 200, answer
    return answer.body.decode()


def test_suppressions_are_imported_and_exported_as_files(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Importing")
    good, complained = box(), box()
    text = f"address,reason\n{good},hard_bounce\nnobody at all,manual\n{complained},complaint\n"
    begun = server.owner("POST", f"{server.path}/suppression-imports", {"text": text})
    done = server.ended(begun["id"])
    assert (done["state"], done["result"]["bad"]) == ("done", 1)
    (report,) = done["files"]
    assert "\n3," in fetched(server, report["url"])
    states = {
        each["recipient"]: each["state"] for each in server.submit([good, complained])["messages"]
    }
    assert states == {good: "suppressed", complained: "suppressed"}

    begun = server.owner("POST", f"{server.path}/suppression-exports", {"reason": "complaint"})
    done = server.ended(begun["id"])
    (part,) = done["files"]
    lines = fetched(server, part["url"]).splitlines()
    assert lines[0] == "address,reason,detail,created_at,expires_at,source"
    assert [line.split(",")[:2] for line in lines[1:]] == [[complained, "complaint"]]


def test_one_persons_data_is_copied_and_erased(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Erasing")
    person, other = box(), box()
    ids = server.send([person, other], subject="About you")
    for id_ in ids.values():
        server.in_state(id_, "sent")
    body = {"address": person, "reason": "complaint"}
    server.owner("POST", f"/organisations/{api_tenant.organisation}/suppressions", body)
    path = f"/recipients/{person}"
    summed = server.owner.get(path)
    assert [
        (each["server"], each["messages"]) for each in summed["servers"] if each["messages"]
    ] == [(server.id, 1)]
    assert [each["reason"] for each in summed["suppressions"]] == ["complaint"]

    done = server.ended(server.owner("POST", f"{path}/export")["id"])
    copied = "".join(fetched(server, each["url"]) for each in done["files"])
    told = [json.loads(line) for line in copied.splitlines()]
    assert len(told) >= 2
    assert person in copied
    assert other not in copied

    assert server.ended(server.owner("DELETE", path)["id"])["state"] == "done"
    assert server.found(recipient=person)["ids"] == set()
    assert server.message(ids[person])["recipient"].startswith("erased:")
    assert server.message(ids[other])["recipient"] == other
    assert person not in json.dumps(server.message(ids[person]))
    assert server.submit([person])["messages"][0]["state"] == "suppressed"


def test_webhooks_are_tested_listed_and_made_again(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Hooked")
    (hook,) = server.owner.get(f"{server.path}/webhooks")["data"]
    path = f"{server.path}/webhooks/{hook['id']}"

    def taken(uuid: str) -> int:
        return [each["uuid"] for each in server.customer.webhooks()].count(uuid)

    tested = server.owner("POST", f"{path}/test")["uuid"]
    wait_for(lambda: taken(tested), what="the test call")

    def shown() -> list[str]:
        calls = server.owner.get(f"{path}/calls")["data"]
        return [each["uuid"] for each in calls if each["response"]["status"] == 200]

    wait_for(lambda: tested in shown(), what="the test in the history")
    again = server.owner("POST", f"{path}/replay", {"uuid": tested})
    assert again == {"replayed": 1, "next_from": None}
    wait_for(lambda: taken(tested) >= 2, what="the call again")


def test_a_credential_of_the_api_opens_smtp(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Submitting", limits={"hour": 2, "action": "reject"})
    made = server.owner("POST", f"{server.path}/credentials", {"type": "SMTP", "name": "Printer"})
    organisation = server.owner.get(f"/organisations/{api_tenant.organisation}")["permalink"]
    permalink = server.owner.get(server.path)["permalink"]
    printer = copy(server.customer)
    login = {"username": f"{organisation}/{permalink}", "password": made["secret"]}
    printer.status = {**printer.status, "smtp": {**printer.status["smtp"], **login}}
    printer.sender = server.address
    gone, to, over = box(), box(), [box(), box()]
    server.owner("POST", f"{server.path}/suppressions", {"address": gone})
    with printer.smtp() as session:
        assert session.sendmail(server.address, [to, gone], printer.message(to)) == {}
        with pytest.raises(smtplib.SMTPDataError) as refused:
            session.sendmail(server.address, over, printer.message(over[0]))
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (451, b"4.7.1")
    assert server.arrived(to)["dkim"] == "pass"
    wait_for(lambda: len(server.found()["ids"]) == 2, what="both in the list")
    assert {each["state"] for each in server.found(recipient=gone)["data"]} == {"suppressed"}
    assert server.customer.mailbox(gone) == []


def test_a_suspended_server_takes_nothing(api_tenant: ApiTenant) -> None:
    server = api_tenant.server("Suspended")
    server.owner("POST", f"{server.path}/suspend", {"reason": "unpaid"})
    refused = server.sender.ask("POST", "/messages", server.letter([box()]))
    assert (refused.status, refused.json["error"]["code"]) == (403, "server_suspended")


def test_a_purged_organisation_is_gone(customer: Customer) -> None:
    tenant = api_tenant_of(customer)
    server = tenant.server("Leaving")
    id_ = server.send([box()])
    server.in_state(next(iter(id_.values())), "sent")
    platform = Api(tenant.owner.url, customer.status["platform_key"])
    known, other = (
        server.owner("POST", f"{server.path}/credentials", {"type": "SMTP", "name": name})["secret"]
        for name in ("Known", "Other")
    )
    login, to = server.login, box()
    platform("DELETE", f"/organisations/{tenant.organisation}")
    with (
        server.smtp(known, login) as session,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        session.sendmail(server.address, [to], server.octets(to))
    assert refused.value.recipients[to][0] == 535
    assert server.sender.ask("POST", "/messages", server.letter([box()])).status == 401
    assert tenant.owner.ask("GET", "/me").status == 401
    job = platform("POST", f"/deleted-organisations/{tenant.organisation}/purge")["id"]

    def over() -> bool:
        return platform.get(f"/jobs/{job}")["state"] not in {"queued", "running"}

    wait_for(over, what="the purge to be done")
    done = platform.get(f"/jobs/{job}")
    assert (done["state"], done["progress"]["failed"]) == ("done", 0)
    assert platform.ask("GET", f"/servers/{server.id}/messages").status == 404
    assert server.customer.mailbox(to) == []
    with pytest.raises(smtplib.SMTPAuthenticationError), server.smtp(other, login):
        raise AssertionError("a purged server's credential still opens")
    again = platform.ask("POST", f"/deleted-organisations/{tenant.organisation}/restore")
    assert again.status == 404
