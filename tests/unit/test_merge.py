"""Placeholders: filled in where they stand, escaped where that matters, nothing else changed."""

from email import message_from_bytes
from email.header import decode_header, make_header

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.merge import (
    MAX_OCTETS,
    MAX_PAIRS,
    MAX_VALUE,
    UnfitMergeError,
    checked,
    merge_body,
    merge_header,
)
from mailroom.domain.mime import rewrite_message

ANN = {"name": "Ann <ann>", "city": "Köln", "n.o-1_x": "7"}


def body(text: str, *, html: bool = False, charset: str = "utf-8") -> str:
    return merge_body(text.encode(charset), ANN, charset=charset, html=html).decode(charset)


@pytest.mark.parametrize(
    ("text", "plain", "html"),
    [
        ("Dear {{name}},", "Dear Ann <ann>,", "Dear Ann &lt;ann&gt;,"),
        ("{{ city }}{{n.o-1_x}}", "Köln7", "Köln7"),
        ("{{nobody}} {{name", "{{nobody}} {{name", "{{nobody}} {{name"),
        ("{{{name}}}", "{Ann <ann>}", "{Ann &lt;ann&gt;}"),
        ("{{na\nme}} {{}} {{na me}}", "{{na\nme}} {{}} {{na me}}", "{{na\nme}} {{}} {{na me}}"),
    ],
)
def test_what_a_recipient_has_a_text_for_is_filled_in(text: str, plain: str, html: str) -> None:
    assert body(text) == plain
    assert body(text, html=True) == html


def test_a_value_is_never_a_template_itself() -> None:
    loop = {"a": "{{b}}", "b": "{{a}}"}
    assert merge_body(b"{{a}}{{b}}", loop, charset="utf-8", html=False) == b"{{b}}{{a}}"


def test_a_value_cannot_leave_the_attribute_it_stands_in() -> None:
    evil = {"x": "\"'><script>alert(1)</script>&"}
    filled = merge_body(b"<a title='{{x}}' href=\"?q={{x}}\">", evil, charset="utf-8", html=True)
    assert b"<script" not in filled
    assert filled.count(b'"') == 2
    assert filled.count(b"'") == 2


def test_a_charset_writes_what_it_can() -> None:
    assert body("{{city}}", charset="latin-1") == "Köln"
    assert body("{{city}}", charset="ascii", html=True) == "K&#246;ln"
    assert body("{{city}}", charset="ascii") == "K?ln"


def test_lines_of_plain_text_end_in_crlf() -> None:
    lines = {"x": "a\nb\rc\r\nd"}
    assert merge_body(b"{{x}}", lines, charset="utf-8", html=False) == b"a\r\nb\r\nc\r\nd"


RAW = (
    b"Received: from {{name}}\r\nFrom: {{name}} <f@demo.example>\r\n"
    b'To: =?utf-8?q?=7B=7Bcity=7D=7D?= <a@x.example>, "{{name}}, jr" <b@x.example>,\r\n'
    b" c@x.example\r\nSUBJECT: Hello {{city}}\r\nX-Other: {{city}}\r\n\r\n{{city}}\r\n"
)


def test_of_the_header_only_subject_and_the_names_of_to_are_personal() -> None:
    message = message_from_bytes(merge_header(RAW, ANN))
    assert str(make_header(decode_header(message["Subject"]))) == "Hello Köln"
    assert message["To"] == (
        '=?utf-8?b?S8O2bG4=?= <a@x.example>, "Ann <ann>, jr" <b@x.example>,\r\n c@x.example'
    )
    assert message["From"] == "{{name}} <f@demo.example>"
    assert message["X-Other"] == "{{city}}"
    assert message["Received"] == "from {{name}}"
    assert message.get_payload() == "{{city}}\r\n"


def test_a_header_without_placeholders_keeps_its_octets() -> None:
    plain = b"Subject:  odd   spacing\r\n\tfolded =?utf-8?q?=C3=BC?=\r\nTo: <a@x.example>\r\n\r\n"
    assert merge_header(plain, ANN) == plain


@pytest.mark.parametrize("value", ["x\r\nBcc: victim@x.example", "a\n\n<p>", "tab\tbed"])
def test_a_value_cannot_make_header_lines(value: str) -> None:
    merged = merge_header(b"To: a@x.example\r\nSubject: {{v}}!\r\n\r\nbody\r\n", {"v": value})
    message = message_from_bytes(merged)
    assert message.keys() == ["To", "Subject"]
    assert message.get_payload() == "body\r\n"


@pytest.mark.parametrize(
    "merge",
    [
        {f"n{number}": "" for number in range(MAX_PAIRS + 1)},
        {"": "x"},
        {"a b": "x"},
        {"ä": "x"},
        {"n" * 65: "x"},
        {"n": "x" * (MAX_VALUE + 1)},
        {"n": "x\0"},
        {f"n{number}": "ü" * 1000 for number in range(MAX_OCTETS // 2000 + 1)},
    ],
)
def test_what_is_too_much_is_refused(merge: dict[str, str]) -> None:
    with pytest.raises(UnfitMergeError):
        checked(merge)
    assert checked(ANN) is ANN


MIXED = (
    b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    b"Hi {{city}}\r\n--b\r\nContent-Type: text/html; charset=us-ascii\r\n\r\n"
    b"<p>{{city}} {{name}}</p>\r\n"
    b"--b\r\nContent-Type: text/plain; name=data.txt\r\nContent-Disposition: attachment\r\n\r\n"
    b"{{city}}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: {{city}}\r\n\r\n{{city}}\r\n"
    b"--b--\r\n"
)


def test_only_the_text_parts_that_have_a_placeholder_change() -> None:
    merged = rewrite_message(MIXED, link=None, pixel=None, merge=ANN).raw
    plain, html, *_ = message_from_bytes(merged).get_payload()
    assert plain["Content-Transfer-Encoding"] == "quoted-printable"  # it is 7bit no more
    assert plain.get_payload(decode=True) == "Hi Köln".encode()
    assert html.get_payload() == "<p>K&#246;ln Ann &lt;ann&gt;</p>"
    assert html["Content-Transfer-Encoding"] is None
    untouched = MIXED[MIXED.index(b"--b\r\nContent-Type: text/plain; name") :]
    assert merged.endswith(untouched)
    assert rewrite_message(MIXED, link=None, pixel=None, merge={"other": "x"}).raw == MIXED


def test_a_value_may_be_part_of_a_tracked_link() -> None:
    raw = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        b'<a href="https://x.example/?who={{who}}&amp;b=1">x</a>\r\n'
    )
    seen: list[str] = []

    def link(url: str) -> str:
        seen.append(url)
        return "https://t.example/c/1"

    rewrite_message(raw, link=link, pixel=None, merge={"who": "a&b"})
    assert seen == ["https://x.example/?who=a&b&b=1"]


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_text_and_any_value_give_text_again(text: str, value: str, html: bool) -> None:
    octets = f"{text}{{{{v}}}}{text}".encode("utf-8", "replace")
    usable = value.encode("utf-8", "replace").decode()
    merged = merge_body(octets, {"v": usable}, charset="utf-8", html=html)
    merged.decode("utf-8")
    assert merge_body(octets, {"other": usable}, charset="utf-8", html=html) == octets
