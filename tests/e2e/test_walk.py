"""What a new user does: paste the printed line, read the mail, click, look at the record."""

import json
import re
import shlex
import subprocess
import uuid

import pytest

from localstack.status import curl_line, smtp_line
from tests.support.customer import Customer, wait_for

pytestmark = pytest.mark.stack

LINKS = ["https://example.com/one", "https://example.com/two?a=1&b=2", "https://example.com/three"]


def _pasted(line: str) -> str:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_printed_curl_line_delivers_a_signed_tracked_message(customer: Customer) -> None:
    answer = json.loads(_pasted(curl_line(customer.status)))
    assert answer["status"] == "success"
    recipient, entry = next(iter(answer["data"]["messages"].items()))

    def arrived() -> dict[str, object] | None:
        boxes = [customer.mail(m["id"]) for m in customer.mailbox(recipient)]
        token = ["x-postal-msgid", entry["token"]]
        return next((m for m in boxes if token in [[k.lower(), v] for k, v in m["headers"]]), None)

    mail = wait_for(arrived, what="the message in the mailbox simulator")
    assert mail["dkim"] == "pass"
    assert mail["tls"]
    assert len(mail["attachments"]) == 1
    tracked = [link for link in mail["links"] if link.startswith(customer.status["tracking_url"])]
    assert len(tracked) == len(LINKS)
    assert mail["pixels"]

    assert customer.http(mail["pixels"][0]).status == 200
    redirects = [customer.http(link) for link in tracked]
    assert [r.status for r in redirects] == [307] * 3
    assert [r.headers["Location"] for r in redirects] == LINKS
    _see_the_whole_life(customer, entry["id"])


def _see_the_whole_life(customer: Customer, id_: int) -> None:
    def life() -> list[str] | None:
        types = [event["type"] for event in customer.record(id_)["events"]]
        return types if types.count("clicked") == 3 and "opened" in types else None

    types = wait_for(life, what="accepted, sent, opened, clicked in the record")
    assert types[:2] == ["accepted", "sent"]

    def told() -> bool:
        # At least once: a repeat is the same call and has the same uuid.
        hooks = {hook["uuid"]: hook for hook in customer.webhooks_of(id_)}.values()
        events = sorted(h["event"] for h in hooks)
        wanted = ["MessageLinkClicked"] * 3 + ["MessageLoaded", "MessageSent"]
        return events == wanted and all(h["verified"] for h in hooks)

    wait_for(told, what="five signed webhooks")
    entries = customer.api("/api/v1/messages/deliveries", {"id": id_})["data"]
    assert [entry["status"] for entry in entries] == ["Sent"]
    assert entries[0]["output"].startswith("250")
    assert entries[0]["sent_with_ssl"] is True


def test_the_printed_smtp_line_delivers(customer: Customer) -> None:
    before = len(customer.mailbox(f"accept+demo@{customer.domain}"))
    _pasted(smtp_line(customer.status))
    wait_for(
        lambda: len(customer.mailbox(f"accept+demo@{customer.domain}")) > before,
        what="the message sent over SMTP",
    )


def test_a_tampered_link_is_no_redirect(customer: Customer) -> None:
    box = f"accept+{uuid.uuid4().hex}@{customer.domain}"
    customer.send([box], html_body='<a href="https://example.com/x">x</a>')
    wait_for(lambda: customer.mailbox(box), what="the message")
    (link,) = customer.mail(customer.mailbox(box)[0]["id"])["links"]
    assert customer.http(link).status == 307
    at = link.rindex("/") + 8
    other = "A" if link[at] != "A" else "B"
    answer = customer.http(link[:at] + other + link[at + 1 :])
    assert answer.status == 404
    assert "Location" not in answer.headers


def test_head_is_no_click_and_prefetch_is_told_as_one(customer: Customer) -> None:
    box = f"accept+{uuid.uuid4().hex}@{customer.domain}"
    ids = customer.send([box], html_body='<a href="https://example.com/x">x</a>')
    wait_for(lambda: customer.mailbox(box), what="the message")
    (link,) = customer.mail(customer.mailbox(box)[0]["id"])["links"]
    assert customer.http(link, method="HEAD").status == 307
    assert customer.http(link, headers={"Sec-Purpose": "prefetch"}).status == 307
    assert customer.http(link, headers={"User-Agent": "a person"}).status == 307

    def clicks() -> list[dict[str, object]]:
        events = customer.record(ids[box])["events"]
        return [event for event in events if event["type"] == "clicked"]

    def persons() -> bool:
        return any(click["user_agent"] == "a person" for click in clicks())

    # The person came last; the queues keep no order, so the count is waited for as well.
    wait_for(lambda: persons() and len(clicks()) >= 2, what="a prefetch and a click")
    assert len(clicks()) == 2


def test_no_tracking_where_it_is_not_wanted(customer: Customer) -> None:
    box = f"accept+{uuid.uuid4().hex}@{customer.domain}"
    html = '<a href="https+notrack://example.com/plain">x</a> <a href="https://example.com/y">y</a>'
    customer.send([box], html_body=html)
    skipped = f"accept+{uuid.uuid4().hex}@{customer.domain}"
    customer.send([skipped], html_body=html, headers={"X-AMP": "skip"})
    wait_for(lambda: customer.mailbox(box) and customer.mailbox(skipped), what="both messages")
    links = customer.mail(customer.mailbox(box)[0]["id"])["links"]
    assert links[0] == "https://example.com/plain"
    assert links[1].startswith(customer.status["tracking_url"])
    other = customer.mail(customer.mailbox(skipped)[0]["id"])
    assert other["links"] == ["https://example.com/plain", "https://example.com/y"]
    assert not other["pixels"]


def test_the_return_path_is_ours_and_signed(customer: Customer) -> None:
    box = f"accept+{uuid.uuid4().hex}@{customer.domain}"
    customer.send([box])
    wait_for(lambda: customer.mailbox(box), what="the message")
    sender = customer.mailbox(box)[0]["mail_from"]
    pattern = rf"b\+[a-z2-7]{{39}}@psrp\.{re.escape(customer.status['from_domain'])}"
    assert re.fullmatch(pattern, sender), sender


def test_the_dns_server_was_really_asked(customer: Customer) -> None:
    customer.send([f"accept+{uuid.uuid4().hex}@cname.{customer.domain}"])

    log = customer.stack.state / "logs" / "queries.jsonl"

    def asked() -> bool:
        lines = log.read_text().splitlines()
        return any('"MX"' in line and f"cname.{customer.domain}" in line for line in lines)

    wait_for(asked, what="an MX query in the DNS server's log")


def test_shell_quoting_of_the_printed_lines_is_sound(customer: Customer) -> None:
    words = shlex.split(curl_line(customer.status).replace("\\\n", " "))
    assert json.loads(words[-1])["to"]
