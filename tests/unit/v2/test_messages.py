"""Messages over the management API."""

import base64
import zlib
from dataclasses import replace
from typing import Any

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts
from mailroom.domain.lifecycle import State
from mailroom.domain.message import BodyRef, Delivery, ServerId
from mailroom.fakes.jobs import MemoryJobQueue, MemoryJobs
from mailroom.fakes.search import MemorySearch
from mailroom.usecases.bulk import actions_of, bulk_step
from mailroom.usecases.jobs import JobPorts, work_on
from mailroom.usecases.release import HoldPorts
from tests.support.management import Management, Told
from tests.support.many_messages import made_delivery, made_submission

RAW = (
    b'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n"
    b'--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="../\xc3\xa4.htm"'
    b"\r\n\r\n<script>\r\n--b--\r\n"
)


class Post:
    """A platform with one server and messages on it."""

    def __init__(self) -> None:
        self.platform = Management()
        self.memory = self.platform.memory
        self.store = MemoryJobs()
        self.jobs = JobPorts(self.store, MemoryJobQueue(), self.memory.clock)
        self.search = MemorySearch(self.memory.ledger)
        self.platform.areas |= {"search": lambda: self.search, "jobs": lambda: self.jobs}
        self.organisation = self.platform.organisation()
        self.server = self.platform.server(self.organisation)
        self.now = self.memory.clock.at

    def add(
        self,
        number: int,
        state: State = State.SENT,
        *,
        recipient: str = "ann@x.test",
        **changes: Any,
    ) -> Delivery:
        """Store a message that was accepted `number` seconds after a thousand ago."""
        changes = {"server": ServerId(self.server), **changes}
        made = made_submission(number, self.now - 1_000 + number, **changes)
        row = made_delivery(made, 0, recipient, state=state)
        self.memory.ledger.reserve([row])
        self.memory.ledger.commit(made)
        return row

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Told:
        return self.platform.ask(method, f"/servers/{self.server}{path}", body, **options)

    def found(self, query: str = "", path: str = "/messages") -> list[int]:
        """Return the numbers of the messages that a list gives, over all its pages."""
        found: list[int] = []
        cursor = ""
        while True:
            told = self.ask("GET", path, query=f"{query}&limit=2{cursor}".lstrip("&"))
            assert told.status == 200, told
            found += [each["id"] >> 10 for each in told.json["data"]]
            if told.json["next_cursor"] is None:
                return found
            cursor = f"&cursor={told.json['next_cursor']}"

    def row(self, delivery: Delivery) -> Delivery:
        return self.memory.ledger.rows[delivery.key]


@pytest.fixture
def post() -> Post:
    return Post()


def test_messages_are_listed_and_found(post: Post) -> None:
    post.add(1, tag="may", tags=("may", "news"), subject="Invoice one")
    post.add(2, State.HELD, recipient="Bob@x.test", stream="broadcast")
    post.add(3, State.DEFERRED, tag="may")
    post.add(4, server=ServerId("klmnopqrst"))
    assert post.found() == [3, 2, 1]
    for query, expected in {
        "recipient=bob@X.test": [2],
        "recipient=Ann@x.test": [3, 1],
        "message_id=%3C3@demo.test%3E": [3],
        "tag=may": [3, 1],
        "tag=news": [1],
        "status=held": [2],
        "status=held,deferred": [3, 2],
        "subject=INVOICE+one": [1],
        "sender=me@demo": [3, 2, 1],
        "text=bob@x": [2],
        "stream=broadcast": [2],
        "tag=may&status=sent": [1],
        f"from_time={post.now - 998}": [3, 2],
        f"to_time={post.now - 998}": [1],
    }.items():
        assert post.found(query) == expected, query
    assert post.found(path="/queue") == [3]
    assert post.found(path="/held") == [2]


def test_a_list_says_what_it_shows_and_how_far_it_looked(post: Post) -> None:
    row = post.add(1, State.DEFERRED, tag="may", tags=("may", "news"))
    event = Event(
        "e", EventType.DEFERRED, row.key, post.now, attempt=AttemptFacts(1, "Not now", "451 no")
    )
    post.memory.ledger.outbox[row.key] = event
    told = post.ask("GET", "/messages", query="text=451").json
    assert (told["looked_at"], told["is_complete"], told["next_cursor"]) == (1, True, None)
    assert told["looked_back_to"] < post.now - 61 * 86_400
    [shown] = told["data"]
    assert shown["id"] == row.key.postal_id
    assert (shown["state"], shown["recipient"], shown["tags"]) == (
        "deferred",
        "ann@x.test",
        ["may", "news"],
    )
    assert shown["last_event"]["type"] == "deferred"
    assert shown["last_event"]["attempt"]["reply"] == "451 no"
    assert shown["last_event"]["view"] is None


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("status=nonsense", "query.status"),
        ("status=sent,", "query.status"),
        ("limit=101", "query.limit"),
        ("limit=x", "query.limit"),
        ("from_time=-1", "query.from_time"),
        ("subject=" + "a" * 201, "query.subject"),
        ("tag=a%00", "query.tag"),
        ("nothing=1", "query.nothing"),
        ("cursor=zzz", None),
        ("from_time=1", None),
        ("from_time=2&to_time=1", None),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused(
    post: Post, query: str, path: str | None
) -> None:
    told = post.ask("GET", "/messages", query=query)
    assert told.status == 422
    if path:
        assert told.json["error"]["fields"][0]["path"] == path
    else:
        assert told.json["error"]["code"] in ("bad_cursor", "invalid")


def test_a_message_is_read_with_its_history(post: Post) -> None:
    row = post.add(1, State.SENT, metadata={"order": "5"})
    for at, kind, parts in [
        (1, EventType.SENT, {"attempt": AttemptFacts(1, "Sent", "250 ok", 250, mx="mx.x.test")}),
        (2, EventType.OPENED, {"view": ViewFacts("192.0.2.1", "Bot", verdict="bot", rules=1)}),
        (3, EventType.CLICKED, {"view": ViewFacts("192.0.2.1", "Browser", "https://x.test/")}),
    ]:
        post.memory.ledger.record(Event(f"e{at}", kind, row.key, post.now + at, **parts))
    told = post.ask("GET", f"/messages/{row.key.postal_id}")
    assert told.status == 200
    shown = told.json
    assert [each["type"] for each in shown["events"]] == ["accepted", "sent", "opened", "clicked"]
    assert shown["metadata"] == {"order": "5"}
    assert (shown["opens"], shown["clicks"], shown["has_more_events"]) == (1, 1, False)
    assert [each["view"]["is_person"] for each in shown["events"][2:]] == [False, True]
    assert shown["events"][3]["view"]["url"] == "https://x.test/"
    assert len(shown["token"]) == 16
    first = post.ask("GET", f"/messages/{row.key.postal_id}/events", query="limit=3").json
    assert [each["type"] for each in first["data"]] == ["accepted", "sent", "opened"]
    query = f"limit=3&cursor={first['next_cursor']}"
    rest = post.ask("GET", f"/messages/{row.key.postal_id}/events", query=query).json
    assert [each["type"] for each in rest["data"]] == ["clicked"]
    assert rest["next_cursor"] is None


def test_the_content_of_a_message_is_read_in_parts_and_whole(post: Post) -> None:
    row = post.add(1, body=BodyRef(inline=zlib.compress(RAW)), size=len(RAW))
    path = f"/messages/{row.key.postal_id}"
    headers = post.ask("GET", f"{path}/headers").json["data"]
    assert headers[0] == {"name": "subject", "value": "Gr\u00fc\u00dfe"}
    bodies = post.ask("GET", f"{path}/bodies").json
    assert (bodies["text"], bodies["html"]) == ("hello", "<p>")
    [file] = bodies["attachments"]
    assert (file["number"], file["content_type"], file["size"]) == (1, "text/html", 8)
    raw = post.ask("GET", f"{path}/raw")
    assert raw.headers["content-type"] == "message/rfc822"
    assert base64.b64decode(raw.text) == RAW
    told = post.ask("GET", f"{path}/attachments/1")
    assert base64.b64decode(told.text) == b"<script>"
    # It is a stranger's page: a browser must not show it under our name.
    assert told.headers["content-type"] == "application/octet-stream"
    assert told.headers["content-disposition"] == "attachment; filename*=UTF-8''.._%C3%A4.htm"
    assert told.headers["x-content-type-options"] == "nosniff"
    for wrong in ("0", "2", "x", "99999", "-1"):
        assert post.ask("GET", f"{path}/attachments/{wrong}").status == 404


def test_content_that_is_not_kept_any_more_says_so(post: Post) -> None:
    row = post.add(1)
    for part in ("headers", "bodies", "raw", "attachments/1"):
        told = post.ask("GET", f"/messages/{row.key.postal_id}/{part}")
        assert (told.status, told.json["error"]["code"]) == (404, "body_gone")
    assert post.ask("GET", f"/messages/{row.key.postal_id}").status == 200


def test_content_that_does_not_fit_an_answer_names_the_place_where_it_does(post: Post) -> None:
    big = RAW.replace(b"<script>", b"x" * 6_000_000).replace(b"hello", b"y" * 7_000_000)
    row = post.add(1, body=BodyRef(key="big"), size=len(big))
    post.memory.bodies.put("big", big)
    for part in ("raw", "bodies", "attachments/1"):
        told = post.ask("GET", f"/messages/{row.key.postal_id}/{part}")
        assert (told.status, told.json["error"]["code"]) == (413, "response_too_large")
        assert post.memory.api.elsewhere in told.json["error"]["message"]
    assert post.ask("GET", f"/messages/{row.key.postal_id}/headers").status == 200


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("release", State.HELD, "queued"),
        ("cancel", State.HELD, "cancelled"),
        ("cancel", State.DEFERRED, "cancelled"),
        ("retry", State.DEFERRED, "deferred"),
        ("retry", State.BOUNCED, "queued"),
    ],
)
def test_a_message_is_moved(post: Post, action: str, before: State, after: str) -> None:
    row = post.add(1, before)
    path = f"/messages/{row.key.postal_id}/{action}"
    told = post.ask("POST", path)
    assert (told.status, told.json["state"]) == (200, after)
    assert post.row(row).state == after
    event = post.memory.ledger.outbox[row.key]
    assert event.attempt is not None
    assert "platform key 'key_root'" in event.attempt.details


@pytest.mark.parametrize("action", ["release", "cancel", "retry"])
def test_what_is_in_another_state_is_a_conflict(post: Post, action: str) -> None:
    row = post.add(1, State.SENT)
    told = post.ask("POST", f"/messages/{row.key.postal_id}/{action}")
    assert (told.status, told.json["error"]["code"]) == (
        409,
        "not_held" if action == "release" else "state_conflict",
    )
    assert post.row(row) == row


def test_a_scheduled_message_is_moved_in_time(post: Post) -> None:
    row = post.add(1, State.SCHEDULED)
    path = f"/messages/{row.key.postal_id}"
    told = post.ask("PATCH", path, {"send_at": post.now + 3_600})
    assert (told.status, told.json["state"]) == (200, "scheduled")
    assert told.json["due_at"] == post.now + 3_600
    assert post.ask("PATCH", path, {"send_at": post.now + 1e9}).status == 422
    assert post.ask("PATCH", path, {}).status == 422
    assert post.ask("PATCH", path, {"send_at": post.now, "state": "sent"}).status == 422
    sent = post.add(2)
    assert post.ask("PATCH", f"/messages/{sent.key.postal_id}", {"send_at": 1.0}).status == 409


PARTS = ["", "/events", "/headers", "/bodies", "/raw", "/attachments/1"]
ACTIONS = ["/release", "/cancel", "/retry"]


@pytest.mark.parametrize("id_", ["0", "x", "-1", "1" * 30, "9007199254740993", "%20", "\u0663"])
def test_an_id_that_names_nothing_is_not_found(post: Post, id_: str) -> None:
    for method, parts in (("GET", PARTS), ("POST", ACTIONS)):
        for part in parts:
            assert post.ask(method, f"/messages/{id_}{part}").status == 404


def test_of_another_server_nothing_is_seen_or_moved(post: Post) -> None:
    row = post.add(1, State.HELD)
    other = post.platform.server(post.organisation, "Other")
    stranger = post.platform.server_key(other)
    id_ = row.key.postal_id
    for method, parts in (("GET", PARTS), ("POST", ACTIONS)):
        for part in parts:
            assert post.ask(method, f"/messages/{id_}{part}", key=stranger).status == 404
            path = f"/servers/{other}/messages/{id_}{part}"
            assert post.platform.ask(method, path, key=stranger).status == 404
    told = post.platform.ask("GET", f"/servers/{other}/messages", key=stranger)
    assert (told.status, told.json["data"]) == (200, [])
    assert post.row(row) == row


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("messages:read", "GET", "/messages", 200),
        ("messages:read", "GET", "/messages/1/raw", 404),
        ("messages:read", "POST", "/messages/1/retry", 403),
        ("messages:read", "POST", "/messages/bulk", 403),
        ("messages:write", "POST", "/messages/1/retry", 404),
        ("messages:write", "GET", "/held", 403),
        ("messages:send", "GET", "/messages", 403),
    ],
)
def test_reading_and_moving_need_a_scope_each(
    post: Post, scope: str, method: str, path: str, status: int
) -> None:
    key = post.platform.server_key(post.server, scope)
    assert post.ask(method, path, key=key).status == status


def test_an_action_on_many_is_counted_and_then_done_as_a_job(post: Post) -> None:
    held = [post.add(number, State.HELD, tag="may") for number in (1, 2, 3)]
    other = post.add(4, State.HELD)
    asked: dict[str, Any] = {"action": "release", "filter": {"tag": "may"}, "dry_run": True}
    count = post.ask("POST", "/messages/bulk", asked)
    assert count.status == 200
    assert (count.json["matching"], count.json["looked_at"], count.json["is_complete"]) == (
        3,
        3,
        True,
    )
    assert count.json["job"] is None
    assert all(post.row(row) == row for row in held)

    started = post.ask("POST", "/messages/bulk", {**asked, "dry_run": False})
    assert started.status == 200
    ports = HoldPorts(post.memory.ledger, post.memory.ledger, post.memory.lane, post.memory.clock)
    step = bulk_step(post.search, actions_of(ports))
    tried = work_on(started.json["job"], {"messages.bulk": step}, post.jobs)
    assert tried.job is not None
    assert (tried.job.progress.done, tried.job.progress.failed) == (3, 0)
    assert tried.job.owner == f"server#{post.server}"
    assert all(post.row(row).state is State.QUEUED for row in held)
    assert post.row(other) == other
    assert len(post.memory.lane.sent) == 3


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "delete"},
        {"action": "release", "filter": {"status": "sent"}},
        {"action": "release", "filter": {"server": "klmnopqrst"}},
        {"action": "release", "filter": {"from_time": 2.0, "to_time": 1.0}},
        {"action": "release", "filter": {"recipient": 5}},
        {"action": "release", "organisation": "org_x"},
    ],
)
def test_a_bulk_call_that_cannot_be_done_starts_nothing(post: Post, body: Any) -> None:
    post.add(1, State.HELD)
    assert post.ask("POST", "/messages/bulk", body).status == 422
    assert post.store.page(f"server#{post.server}", 10).items == []


def test_the_same_key_and_request_start_one_job(post: Post) -> None:
    post.add(1, State.HELD)
    headers = {"idempotency-key": "once"}
    told = [
        post.ask("POST", "/messages/bulk", {"action": "cancel"}, headers=headers).json["job"]
        for _ in range(2)
    ]
    assert told[0] == told[1]
    assert len(post.store.page(f"server#{post.server}", 10).items) == 1


def test_a_history_too_long_for_a_detail_is_read_in_pages(post: Post) -> None:
    row = post.add(1)
    for at in range(250):
        view = ViewFacts("192.0.2.1", "x")
        event = Event(f"e{at}", EventType.OPENED, row.key, post.now + at, view=view)
        post.memory.ledger.record(event)
    shown = post.ask("GET", f"/messages/{row.key.postal_id}").json
    assert (len(shown["events"]), shown["has_more_events"]) == (100, True)
    assert shown["events"][-1]["at"] == post.now + 249
    path, cursor, read = f"/messages/{row.key.postal_id}/events", "", 0
    while cursor is not None:
        page = post.ask("GET", path, query=f"limit=100&cursor={cursor}").json
        read += len(page["data"])
        cursor = page["next_cursor"]
    assert read == 251
    assert post.ask("GET", path, query="cursor=eA").status == 422


def test_a_delivery_that_was_never_committed_is_nowhere(post: Post) -> None:
    made = made_submission(5, post.now, server=ServerId(post.server))
    row = made_delivery(made, 0, "ann@x.test", state=State.HELD)
    post.memory.ledger.reserve([replace(row, state=State.QUEUED)])
    assert post.found() == []
    assert post.found("recipient=ann@x.test") == []
    assert post.ask("GET", f"/messages/{row.key.postal_id}").status == 404


@pytest.mark.parametrize("scopes", [["*"], ["messages:read", "messages:write"], []])
def test_a_key_that_holds_does_not_let_go(post: Post, scopes: list[str]) -> None:
    row = post.add(1, State.HELD)
    key = post.platform.key("api", id_="key_h", server=post.server, scopes=scopes, hold=True)
    assert post.ask("GET", "/held", key=key).status == 200
    for path in (f"/messages/{row.key.postal_id}/release", "/messages/bulk"):
        assert post.ask("POST", path, {"action": "release"}, key=key).status == 403
    told = post.ask("POST", "/credentials", {"type": "API", "name": "free"}, key=key)
    assert told.status == 403
    assert post.row(row) == row
