"""Commands that the API's own description makes."""

import io
import json
from pathlib import Path

import httpx
import pytest

from cli.errors import UsageError
from cli.openapi import Kind, read_operations
from cli.profile import Profile
from tests.cli.tool import DOCUMENT, KEY, Tool, refusal


def test_each_operation_is_a_command_of_its_group(tool: Tool) -> None:
    operations = {f"{o.group} {o.name}": o for o in read_operations(DOCUMENT)}
    assert set(operations) == {
        "servers list", "servers read", "servers delete", "domains list", "domains create",
        "domains update", "domains check", "organisations restore", "messages raw",
    }  # fmt: skip
    kinds = {p.name: p.kind for p in operations["domains create"].of("body")}
    assert kinds == {
        "name": Kind.TEXT, "dkim": Kind.JSON, "bits": Kind.INTEGER, "verified": Kind.TRUTH,
        "aliases": Kind.LIST, "mode": Kind.TEXT, "data": Kind.TEXT, "from": Kind.TEXT,
    }  # fmt: skip
    assert operations["domains update"].subject == "domain"
    assert operations["domains list"].subject == ""


def test_a_list_is_a_table_and_says_how_it_goes_on(tool: Tool) -> None:
    rows = [{"id": "a1", "name": "one", "deep": {"x": 1}}, {"id": "a2", "name": "two"}]
    tool.platform.answers = [{"data": rows, "next_cursor": "c2"}]
    assert tool.run("servers", "list", "--limit", "2") == 0
    assert [line.split() for line in tool.out.splitlines()] == [
        ["id", "name"], ["a1", "one"], ["a2", "two"]
    ]  # fmt: skip
    assert "more: --cursor c2" in tool.err
    (asked,) = tool.platform.asked
    assert (asked.url.path, asked.url.query) == ("/api/v2/servers", b"limit=2")
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_all_pages_are_walked_as_json_lines(tool: Tool) -> None:
    tool.platform.answers = [
        {"data": [{"id": 1}, {"id": 2}], "next_cursor": "c2"},
        {"data": [{"id": 3}], "next_cursor": None},
    ]
    assert tool.run("servers", "list", "--all", as_json=True) == 0
    assert [json.loads(line)["id"] for line in tool.out.splitlines()] == [1, 2, 3]
    assert tool.platform.asked[1].url.params["cursor"] == "c2"


def test_a_body_is_made_of_data_then_options_then_settings(tool: Tool, tmp_path: Path) -> None:
    file = tmp_path / "more.json"
    file.write_text('{"name": "from.file", "mode": "sandbox", "dkim": {"bits": 1024}}')
    tool.platform.answers = [{"id": "dom_1"}]
    code = tool.run(
        "domains", "create", "--data", f"@{file}", "--name", "a.example", "--no-verified",
        "--aliases", "x", "--aliases", "y", "--set", "dkim.selector=postal-ABCDEF",
        "--set", "bits=5", "--set", "data=text", "--from", "me",
    )  # fmt: skip
    assert code == 0, tool.err
    assert tool.platform.asked[0].url.path == "/api/v2/servers/srvaaaaaaa/domains"
    assert tool.platform.body() == {
        "name": "a.example", "mode": "sandbox", "verified": False, "aliases": ["x", "y"],
        "dkim": {"bits": 1024, "selector": "postal-ABCDEF"}, "bits": 5, "data": "text",
        "from": "me",
    }  # fmt: skip


def test_a_deep_field_is_json_or_a_file_and_the_subject_is_the_argument(tool: Tool) -> None:
    assert tool.run("domains", "create", "--server", "srv/x", "--dkim", '{"a": [1]}') == 0
    assert tool.platform.asked[0].url.raw_path == b"/api/v2/servers/srv%2Fx/domains"
    assert tool.platform.body() == {"dkim": {"a": [1]}}
    assert tool.run("domains", "update", "dom_1", "--if-match", '"4"', "--name", "b") == 0
    assert tool.platform.asked[1].url.path == "/api/v2/servers/srvaaaaaaa/domains/dom_1"
    assert tool.platform.asked[1].headers["if-match"] == '"4"'
    assert tool.run("organisations", "restore", "org_1") == 0
    assert tool.platform.asked[2].url.path == "/api/v2/deleted-organisations/org_1/restore"


def test_a_write_carries_an_idempotency_key_and_a_read_none(tool: Tool) -> None:
    tool.platform.answers = [{"id": "s"}]
    tool.run("servers", "read", "s")
    tool.run("domains", "create", "--name", "x")
    read, write = tool.platform.asked
    assert "idempotency-key" not in read.headers
    assert write.headers["idempotency-key"] == "id-0"


def test_a_refusal_shows_code_fields_and_request(tool: Tool) -> None:
    tool.platform.answers = [refusal(), refusal()]
    assert tool.run("servers", "read", "s") == 1
    assert tool.out == ""
    assert tool.err.splitlines() == [
        "refused: validation_failed (422): No.", "  dkim.selector: too long", "  request r-1"
    ]  # fmt: skip
    assert tool.run("servers", "read", "s", as_json=True) == 1
    assert json.loads(tool.err)["error"]["fields"][0]["path"] == "dkim.selector"


@pytest.mark.parametrize(
    "arguments",
    [
        ["domains", "create", "--set", "novalue"], ["domains", "create", "--set", "a..b=1"],
        ["domains", "create", "--data", "[]"], ["domains", "create", "--data", "{"],
        ["domains", "create", "--data", "@/nowhere"], ["domains", "create", "--dkim", "x"],
        ["domains", "create", "--bits", "many"], ["domains", "create", "--unknown", "1"],
        ["servers", "read"], ["servers", "fly"], ["domains", "create", "--set", "name=1",
        "--set", "name.x=1"],
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_used_ends_with_2_and_asks_nothing(tool: Tool, arguments) -> None:
    assert tool.run(*arguments) == 2
    assert tool.platform.asked == []


def test_deleting_asks_unless_told_not_to(tool: Tool, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert tool.run("servers", "delete", "s") != 0  # nobody is there to say yes
    assert tool.platform.asked == []
    assert tool.run("servers", "delete", "s", "--yes") == 0
    assert tool.platform.asked[0].method == "DELETE"


def test_without_a_platform_or_a_key_the_tool_says_what_to_do(tmp_path: Path) -> None:
    for profile in (Profile(), Profile(url="https://x.example")):
        tool = Tool(tmp_path, profile=profile)
        assert tool.run("send", "--from", "a@b.c", "--to", "d@e.f") == 2
        assert "mailroom login" in tool.err


def test_the_description_is_kept_for_a_day_and_an_old_one_serves_in_trouble(tool: Tool) -> None:
    tool.at = float("inf")  # later than any file
    for _ in range(2):
        tool.platform.answers = [{"data": []}]
        tool.run("servers", "list")
    assert tool.platform.described == 2
    url = tool.profile.url
    kept = tool.store.kept(url)
    assert kept is not None
    tool.at = kept[1] + 80_000
    tool.run("servers", "list")
    assert tool.platform.described == 2
    tool.at = kept[1] + 90_000
    broken = tool.platform
    tool.platform = lambda request: (
        httpx.Response(500) if "openapi" in request.url.path else broken(request)
    )
    broken.answers = [{"data": []}]
    assert tool.run("servers", "list") == 0


def test_what_a_stranger_wrote_cannot_steer_the_terminal(tool: Tool) -> None:
    evil = "\x1b[2J\x1b]0;gotcha\x07[red]x"
    tool.platform.answers = [{"data": [{"id": "1", "name": evil}]}]
    tool.run("servers", "list")
    assert "\x1b" not in tool.out
    assert "[red]x" in tool.out


def test_times_are_for_people_in_tables_and_as_they_are_in_json(tool: Tool) -> None:
    row = {"id": "s", "created_at": 1760000000.5, "until": 1e300, "size": 7}
    tool.platform.answers = [row, row]
    tool.run("servers", "read", "s")
    assert "2025-10-09 08:53:20" in tool.out
    assert tool.json("servers", "read", "s") == row


def test_octets_are_given_as_they_are(tool: Tool) -> None:
    raw = httpx.Response(
        200, content=b"From: a\r\n\r\nb", headers={"content-type": "message/rfc822"}
    )
    tool.platform.answers = [raw]
    assert tool.run("messages", "raw", "m1") == 0
    assert tool.out == "From: a\r\n\r\nb"


LOOP = {"operationId": "a.b", "parameters": [{"$ref": "#/loop"}]}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"openapi": "2.0", "paths": {}},
        {"openapi": "3.1.0"},
        {"openapi": "3.1.0", "loop": {"$ref": "#/loop"}, "paths": {"/x": {"get": LOOP}}},
    ],
)
def test_what_describes_no_api_is_refused(document) -> None:
    with pytest.raises(UsageError):
        read_operations(document)
