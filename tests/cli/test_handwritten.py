"""`send`, `domains check` and `messages tail`."""

import base64
import json

import httpx
import pytest

from cli.profile import Profile
from tests.cli.tool import KEY, URL, Tool, refusal

ME = ("--from", "Me <me@a.example>", "--to", "ann@b.example")


def test_a_message_is_sent_with_all_it_has(tool: Tool, tmp_path):
    letter = tmp_path / "letter.html"
    letter.write_text("<p>Grüße</p>")
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    tool.platform.answers = [{"id": "msg_1"}]
    code = tool.run(
        "send", *ME, "--to", "bob@b.example", "--cc", "c@b.example", "--subject", "Hi",
        "--text", "Hello", "--html", f"@{letter}", "--attach", str(picture), "--tag", "welcome",
        "--header", "X-Kind: test: yes", "--metadata", "order=7", "--stream", "broadcast",
        "--at", "2027-03-01T09:00:00Z", "--data", '{"track_opens": false}',
        "--idempotency-key", "order-7",
    )  # fmt: skip
    assert code == 0, tool.err
    (asked,) = tool.platform.asked
    assert asked.url.path == "/api/v2/servers/srvaaaaaaa/messages"
    assert asked.headers["idempotency-key"] == "order-7"
    assert tool.platform.body() == {
        "track_opens": False,
        "from": "Me <me@a.example>",
        "to": ["ann@b.example", "bob@b.example"],
        "cc": ["c@b.example"],
        "subject": "Hi",
        "text": "Hello",
        "html": "<p>Grüße</p>",
        "attachments": [
            {
                "name": "a.png",
                "content_type": "image/png",
                "content": base64.b64encode(b"\x89PNG").decode(),
            }
        ],
        "headers": {"X-Kind": "test: yes"},
        "tags": ["welcome"],
        "metadata": {"order": "7"},
        "stream": "broadcast",
        "send_at": "2027-03-01T09:00:00Z",
    }


def test_large_files_are_uploaded_first_and_the_key_stays_here(tool: Tool, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * (3 * 1024 * 1024 + 1))
    tool.profile = Profile(url=URL, key=KEY)
    place = {"upload": "upl_1", "url": "https://store.example/put?signed"}
    taken = {"messages": [{"id": 7, "recipient": "ann@b.example", "state": "queued"}]}
    tool.platform.answers = [{"server": "srvbbbbbbb"}, place, httpx.Response(200), taken]
    assert tool.run("send", *ME, "--text", "Look", "--attach", str(film)) == 0, tool.err
    me, upload, put, sent = tool.platform.asked
    assert me.url.path == "/api/v2/me"
    assert (upload.url.path, tool.platform.body(1)) == (
        "/api/v2/servers/srvbbbbbbb/uploads", {"size": 3 * 1024 * 1024 + 1}
    )  # fmt: skip
    assert (put.method, str(put.url)) == ("PUT", place["url"])
    assert "authorization" not in put.headers
    assert put.headers["content-length"] == str(3 * 1024 * 1024 + 1)
    assert sent.url.path == "/api/v2/servers/srvbbbbbbb/messages"
    assert tool.platform.body()["attachments"] == [
        {"name": "film.mp4", "content_type": "video/mp4", "upload": "upl_1"}
    ]
    assert [line.split() for line in tool.out.splitlines()] == [
        ["id", "recipient", "state"], ["7", "ann@b.example", "queued"]
    ]  # fmt: skip


def test_an_upload_that_is_not_taken_sends_nothing(tool: Tool, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x" * (3 * 1024 * 1024 + 1))
    place = {"upload": "upl_1", "url": "https://store.example/put?signed"}
    tool.platform.answers = [place, httpx.Response(403)]
    assert tool.run("send", *ME, "--text", "Look", "--attach", str(film)) == 3
    assert len(tool.platform.asked) == 2


@pytest.mark.parametrize(
    "arguments",
    [["--header", "no colon"], ["--metadata", "=x"], ["--attach", "/nowhere"], ["--data", "[]"]],
)
def test_a_letter_that_cannot_be_put_together_is_not_sent(tool: Tool, arguments):
    assert tool.run("send", *ME, *arguments) == 2
    assert tool.platform.asked == []


def checks(state="ok", **states):
    records = [
        {"purpose": name, "state": each, "need": "required", "type": "TXT", "name": "a.example",
         "value": "v", "reason": "because"}
        for name, each in states.items()
    ]  # fmt: skip
    records.append({"purpose": "dmarc", "state": "missing", "need": "recommended"})
    return {"state": state, "records": records}


def test_a_domain_that_is_well_ends_with_0(tool: Tool):
    tool.platform.answers = [
        {"data": [{"id": "dom_1", "name": "a.example"}], "next_cursor": None},
        checks(spf="ok", dkim="ok"),
    ]
    assert tool.run("domains", "check", "A.example") == 0, tool.err
    assert [asked.url.path for asked in tool.platform.asked] == [
        "/api/v2/servers/srvaaaaaaa/domains",
        "/api/v2/servers/srvaaaaaaa/domains/dom_1/check",
    ]
    assert [line.split() for line in tool.out.splitlines()[1:3]] == [
        ["spf", "ok", "required", "TXT", "a.example", "v", "because"],
        ["dkim", "ok", "required", "TXT", "a.example", "v", "because"],
    ]


def test_a_domain_that_is_not_ends_with_4_and_says_what(tool: Tool):
    tool.platform.answers = [checks("missing", spf="missing", dkim="ok")]
    assert tool.run("domains", "check", "dom_1", "--organisation", "org_1") == 4
    assert tool.platform.asked[0].url.path == "/api/v2/organisations/org_1/domains/dom_1/check"
    assert "dom_1 is not well: spf missing\n" in tool.err


def test_waiting_looks_again_until_all_is_well_or_time_is_over(tool: Tool):
    tool.platform.answers = [
        checks("missing", spf="missing"), checks("invalid", spf="invalid"), checks(spf="ok")
    ]  # fmt: skip
    assert tool.run("domains", "check", "dom_1", "--wait") == 0
    assert tool.waited == [10.0, 10.0]
    tool.platform.answers = [checks("missing", spf="missing") for _ in range(9)]
    assert tool.run("domains", "check", "dom_1", "--wait", "--timeout", "25") == 4
    assert tool.waited == [10.0] * 4


def test_an_answer_without_records_is_none(tool: Tool):
    tool.platform.answers = [{}]
    assert tool.run("domains", "check", "dom_1") == 3


class EnoughError(Exception):
    pass


def test_tail_shows_the_newest_then_each_that_comes_once_and_in_order(tool: Tool):
    def page(*ids, more=None):
        data = [{"id": i, "state": "sent", "recipient": f"{i}@x", "subject": "s"} for i in ids]
        return {"data": data, "next_cursor": more}

    tool.platform.answers = [
        page("m3", "m2", "m1"),
        page("m3", "m2", "m1"),
        page("m6", "m5", more="c"), page("m4", "m3"),
        EnoughError(),
    ]  # fmt: skip
    with pytest.raises(EnoughError):
        tool.run("messages", "tail", "-n", "2")
    assert tool.waited == [2.0, 2.0, 2.0]
    assert tool.platform.asked[0].url.query == b"limit=2"
    assert tool.platform.asked[3].url.params["cursor"] == "c"


def test_tail_without_following_is_a_look(tool: Tool):
    data = [{"id": "m2", "state": "sent"}, {"id": "m1", "state": "held"}]
    tool.platform.answers = [{"data": data, "next_cursor": None}]
    assert tool.run("messages", "tail", "--no-follow", as_json=True) == 0
    assert [json.loads(line)["id"] for line in tool.out.splitlines()] == ["m1", "m2"]


def test_what_the_api_refuses_to_send_ends_with_1(tool: Tool):
    tool.platform.answers = [refusal(422, "unverified_sender")]
    assert tool.run("send", *ME) == 1
    assert "unverified_sender" in tool.err
