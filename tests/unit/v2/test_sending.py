"""Sending over the native API: what callers may write, what is stored, what they are told."""

import base64
import json
import zlib
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from mailroom.domain.lifecycle import State
from mailroom.domain.message import Domain, Server, ServerId, Submission
from mailroom.domain.postal_words import message_status
from mailroom.domain.send_limit import LimitAction, Limits
from mailroom.domain.suppression import Reason, Suppression, server_scope
from mailroom.fakes.suppressions import MemorySuppressions
from tests.support.management import Management, Told

GOOD: dict[str, Any] = {
    "from": "Shop <shop@demo.test>",
    "to": ["Ann <ann@x.test>"],
    "subject": "Hi {{name}}",
    "text": "Dear {{name}}",
}
RAW = b"From: shop@demo.test\r\nMessage-ID: <own@demo.test>\r\nSubject: s\r\n\r\nhello\r\n"


class Post:
    """A platform with one server that may send from demo.test."""

    def __init__(self) -> None:
        self.platform = Management()
        self.memory = self.platform.memory
        self.memory.suppressions = self.platform.suppressions
        organisation = self.platform.organisation()
        self.server = self.platform.server(organisation)
        self.known = Server(ServerId(self.server), organisation, "Main", "main", "tok123")
        self.memory.directory.add_server(self.known)
        owner = f"server#{self.server}"
        self.memory.directory.add_domain(Domain("demo.test", owner, True, "s1", b""))
        self.key = self.platform.server_key(self.server, "messages:send")
        self.now = self.memory.clock.at

    def send(self, body: Any = None, *, key: str = "", **changes: Any) -> Told:
        body = {**GOOD, **changes} if body is None else body
        body = {name: value for name, value in body.items() if value is not None}
        return self.platform.ask("POST", f"/servers/{self.server}/messages", body, key=key)

    def stored(self) -> tuple[Submission, Message]:
        (submission,) = self.memory.ledger.submissions.values()
        body = submission.body
        raw = (
            zlib.decompress(body.inline) if body.inline else self.memory.bodies.get(body.key or "")
        )
        return submission, message_from_bytes(raw)

    @property
    def suppressions(self) -> MemorySuppressions:
        return self.platform.suppressions


@pytest.fixture
def post() -> Post:
    return Post()


def test_a_message_is_stored_and_each_recipient_has_an_id(post: Post) -> None:
    told = post.send(cc=["bob@x.test"], bcc=["eve@x.test", "ANN@x.test"], html="<p>{{name}}</p>")
    assert told.status == 202, told
    submission, message = post.stored()
    rows = post.memory.ledger.deliveries(submission.server, submission.number)
    assert [(each["id"], each["recipient"], each["state"]) for each in told.json["messages"]] == [
        (row.key.postal_id, row.recipient, "queued") for row in rows
    ]
    assert [row.recipient for row in rows] == [
        "ann@x.test",
        "bob@x.test",
        "eve@x.test",
        "ANN@x.test",
    ]
    assert message["To"] == "Ann <ann@x.test>"
    assert message["Cc"] == "bob@x.test"
    assert "Bcc" not in message
    assert message["Message-ID"] == f"<{told.json['message_id']}>"
    assert (submission.source, submission.mail_from) == ("api", "shop@demo.test")
    assert len(post.memory.lane.sent) == 4
    assert all(len(each["token"]) == 16 for each in told.json["messages"])


def test_a_servers_own_key_needs_no_server_in_the_path(post: Post) -> None:
    told = post.platform.ask("POST", "/messages", GOOD, key=post.key)
    assert told.status == 202
    organisation_key = post.platform.organisation_key(post.known.organisation)
    told = post.platform.ask("POST", "/messages", GOOD, key=organisation_key)
    assert (told.status, told.json["error"]["code"]) == (400, "no_server")
    assert post.send(key=organisation_key).status == 202


def test_a_key_without_the_scope_sends_nothing(post: Post) -> None:
    reader = post.platform.server_key(post.server, "messages:read", "x")
    assert post.send(key=reader).status == 403


def test_a_key_brings_its_stream_and_its_hold(post: Post) -> None:
    key = post.platform.key(
        "api", id_="crd_1", server=post.server, scopes=["messages:send"], stream="broadcast",
        hold=True,
    )  # fmt: skip
    assert post.send(key=key).json["stream"] == "broadcast"
    submission, _ = post.stored()
    assert (submission.hold, submission.credential) == (True, "crd_1")


def test_everything_a_message_may_carry_is_kept(post: Post) -> None:
    told = post.send(
        to=[{"email": "ann@x.test", "name": "Änn", "substitutions": {"name": "Ann"}}, "bob@x.test"],
        substitutions={"name": "friend", "shop": "us"},
        reply_to=["help@demo.test", {"email": "me@demo.test", "name": "Me"}],
        headers={"X-Own": "yes", "X-Mailroom-Metadata-Old": "1"},
        tags=["a", "b", "a"],
        metadata={"order": "7"},
        stream="broadcast",
        track_opens=False,
        track_clicks=True,
        test=True,
    )
    assert told.status == 202, told
    submission, message = post.stored()
    assert submission.tags == ("a", "b")
    assert submission.metadata == {"old": "1", "order": "7"}
    assert (submission.stream, submission.test) == ("broadcast", True)
    assert (submission.track_opens, submission.track_clicks) == (False, True)
    assert message["X-Own"] == "yes"
    assert message["Reply-To"] == "help@demo.test, Me <me@demo.test>"
    rows = post.memory.ledger.deliveries(submission.server, submission.number)
    assert [row.merge for row in rows] == [
        {"name": "Ann", "shop": "us"},
        {"name": "friend", "shop": "us"},
    ]


def test_an_individual_message_names_nobody(post: Post) -> None:
    told = post.send(to=["ann@x.test", "bob@x.test"], cc=["eve@x.test"], individual=True,
                     headers={"To": "all@x.test", "cc": "x@x.test"})  # fmt: skip
    assert told.status == 202
    submission, message = post.stored()
    assert (message["To"], message["Cc"], submission.individual) == (None, None, True)
    assert submission.recipients == 3


@pytest.mark.parametrize("as_text", [False, True])
def test_a_message_can_be_scheduled(post: Post, as_text: bool) -> None:
    at = post.now + 86_400
    told = post.send(send_at="2025-10-10T10:53:20+02:00" if as_text else at)
    assert told.json["send_at"] == at
    assert [each["state"] for each in told.json["messages"]] == ["scheduled"]
    assert not post.memory.lane.sent
    assert message_status(State.SCHEDULED, ()) == "Pending"


def test_suppressed_recipients_have_an_id_too(post: Post) -> None:
    scope = server_scope(ServerId(post.server))
    post.suppressions.add(scope, Suppression(scope, Reason.COMPLAINT, "bob@x.test", post.now))
    told = post.send(to=["ann@x.test", "bob@x.test"])
    assert [each["state"] for each in told.json["messages"]] == ["queued", "suppressed"]
    assert len(post.memory.lane.sent) == 1


def test_attachments_are_files_or_belong_to_the_html(post: Post) -> None:
    content = base64.b64encode(b"\x89PNG octets").decode()
    upload = post.platform.ask("POST", f"/servers/{post.server}/uploads", {"size": 5}, key=post.key)
    assert upload.status == 201
    (key,) = [upload.json["url"].removeprefix("https://files.test/").partition("?")[0]]
    post.platform.files.stored[key] = b"large"
    told = post.send(
        html='<img src="cid:logo">',
        attachments=[
            {"name": "logo.png", "content_type": "image/png", "content": content,
             "content_id": "logo"},
            {"name": "terms.pdf", "content_type": "application/pdf",
             "upload": upload.json["upload"]},
        ],
    )  # fmt: skip
    assert told.status == 202, told
    _, message = post.stored()
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    image, pdf = list(message.walk())[-2:]
    assert (image["Content-ID"], image.get_content_disposition()) == ("<logo>", "inline")
    assert image.get_payload(decode=True) == b"\x89PNG octets"
    assert pdf.get_payload(decode=True) == b"large"


def test_a_content_id_without_html_is_a_file_like_others(post: Post) -> None:
    post.send(attachments=[{"name": "a", "content": "YQ==", "content_id": "x"}])
    _, message = post.stored()
    assert [part.get_content_disposition() for part in message.walk()][-1] == "attachment"


def test_an_upload_of_another_server_is_like_none(post: Post) -> None:
    other = post.platform.server(post.known.organisation, "Other")
    path, body = f"/servers/{other}/uploads", {"size": 5}
    upload = post.platform.ask("POST", path, body).json
    key = upload["url"].removeprefix("https://files.test/").partition("?")[0]
    post.platform.files.stored[key] = b"other"
    for name in (upload["upload"], "upl_nothing", "../../secret"):
        told = post.send(attachments=[{"name": "x", "upload": name}])
        assert told.status == 422, name
    assert not post.memory.ledger.submissions


def test_a_raw_message_goes_as_it_is(post: Post) -> None:
    told = post.send({"raw": base64.b64encode(RAW).decode(), "to": ["ann@x.test"],
                      "from": "bounces@demo.test"})  # fmt: skip
    assert (told.status, told.json["message_id"]) == (202, "own@demo.test")
    submission, message = post.stored()
    assert message.as_bytes() == RAW.replace(b"\r\n", b"\n")
    assert (submission.source, submission.mail_from) == ("raw", "bounces@demo.test")


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"from": "x@elsewhere.test"}, "from", "domain_not_verified"),
        ({"from": "no address"}, "from", "address"),
        ({"to": ["ann@x.test", "a b"]}, "to.1", "address"),
        ({"to": [{"email": "a@x.test, b@x.test"}]}, "to.0", "address"),
        ({"to": []}, "", "value_error"),
        ({"text": None}, "", "value_error"),
        ({"from": None}, "", "value_error"),
        ({"raw": "eA=="}, "", "value_error"),
        ({"stream": "unheard-of"}, "stream", "unknown"),
        ({"stream": "No Stream"}, "stream", "value_error"),
        ({"tags": ["x"] * 11}, "tags", "too_long"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "string_too_long"),
        ({"substitutions": {"a b": "x"}}, "substitutions.a b.[key]", "string_pattern_mismatch"),
        ({"headers": {"Bad Name": "x"}}, "headers.Bad Name.[key]", "string_pattern_mismatch"),
        ({"headers": {"X-A": "x\r\nBcc: y"}}, "headers.X-A", "value_error"),
        ({"subject": "a\nb"}, "subject", "value_error"),
        ({"attachments": [{"name": "x", "content": "!"}]}, "attachments.0.content", "base64"),
        ({"attachments": [{"name": "x"}]}, "attachments.0", "value_error"),
        ({"attachments": [{"name": "x", "content": "YQ==", "content_type": "nonsense"}]},
         "", "unfit_header"),
        ({"nonsense": 1}, "nonsense", "extra_forbidden"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_with_its_path(
    post: Post, changes: dict[str, Any], path: str, code: str
) -> None:
    told = post.send(**changes)
    assert told.status == 422, told
    (problem,) = told.json["error"]["fields"]
    assert (problem["path"], problem["code"]) == (path, code)
    assert not post.memory.ledger.rows


def test_a_time_too_far_ahead_is_refused(post: Post) -> None:
    told = post.send(send_at=post.now + 91 * 86_400)
    assert (told.status, told.json["error"]["code"]) == (422, "invalid")


def test_who_is_suspended_over_a_limit_or_too_large_is_told_so(post: Post) -> None:
    directory, known = post.memory.directory, post.known
    directory.add_server(replace(known, suspended="unpaid"))
    assert (post.send().status, post.send().json["error"]["code"]) == (403, "server_suspended")
    full = Limits(hour=0, action=LimitAction.REJECT)
    directory.add_server(replace(known, limits=full))
    told = post.send()
    assert (told.status, told.json["error"]["code"]) == (429, "send_limit_exceeded")
    assert int(told.headers["retry-after"]) > 3_000
    directory.add_server(known)
    most = post.memory.limit
    assert post.send(text="x" * (most + 1)).status == 413
    large = base64.b64encode(b"x" * (most + 1)).decode()
    told = post.send(attachments=[{"name": "x", "content": large}])
    assert (told.status, told.json["error"]["code"]) == (413, "message_too_large")
    assert not post.memory.ledger.rows


def test_sending_twice_with_one_idempotency_key_sends_once(post: Post) -> None:
    path, headers = f"/servers/{post.server}/messages", {"idempotency-key": "order-7"}
    first, second = (
        post.platform.ask("POST", path, GOOD, headers=headers, key=post.key) for _ in range(2)
    )
    assert first.json == second.json
    assert len(post.memory.ledger.submissions) == 1


def test_up_to_150_recipients_in_all(post: Post) -> None:
    people = [f"r{number}@x.test" for number in range(100)]
    assert post.send(to=people, cc=people[:75]).status == 202  # each counts once
    told = post.send(to=people, bcc=[f"b{number}@x.test" for number in range(51)])
    assert told.status == 422
    assert json.dumps(told.json).count("150") == 1
