"""The composed message: readable by another parser, safe against its values, the same each time."""

import email
import email.policy
import re
from dataclasses import replace
from email.message import EmailMessage
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.address import Address
from mailroom.domain.compose import (
    Attachment,
    Letter,
    Postmark,
    compose,
    received_line,
)
from mailroom.domain.header_encoding import UnfitHeaderError
from mailroom.domain.headers import problem_with

ME = ("", Address("me", "demo.test"))
ANN = ("", Address("ann", "x.test"))
POSTMARK = Postmark("u-u-i-d@rp.test", 1_760_000_000.9, "b" * 24, "from api by h with HTTP; now")
LETTER = Letter(author=ME, to=(ANN,), subject="Hello", plain="Hello\nworld")


def read(letter: Letter) -> EmailMessage:
    """Parse with the library, after checking what must hold for every message."""
    raw = compose(letter, POSTMARK)
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert problem_with(raw) is None
    assert raw == compose(letter, POSTMARK)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    for part in message.walk():
        assert not part.defects
    return cast("EmailMessage", message)


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return cast("bytes", body.get_payload(decode=True)).decode()


def test_a_plain_text_is_wrapped_as_postal_wraps_it() -> None:
    message = read(LETTER)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
    ]
    assert text_of(message, "plain") == "Hello\r\nworld"


def test_both_texts_and_files_stand_in_postals_order() -> None:
    files = (Attachment("a.txt", "text/csv; charset=utf-8", b"1,2"),)
    message = read(replace(LETTER, html="<p>Hi</p>", attachments=files))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/csv",
    ]
    [file] = message.iter_attachments()
    assert file.get_filename() == "a.txt"
    assert file.get_param("charset") == "utf-8"
    assert file.get_payload(decode=True) == b"1,2"


def test_the_standard_fields_are_there_once() -> None:
    bob = ('Bob "the" Builder, Ltd', Address("bob", "x.test"))
    message = read(replace(LETTER, cc=(bob,), reply_to=(bob,), sender=bob))
    assert {name: message[name] for name in ("From", "To", "Subject", "Message-ID", "Date")} == {
        "From": "me@demo.test",
        "To": "ann@x.test",
        "Subject": "Hello",
        "Message-ID": "<u-u-i-d@rp.test>",
        "Date": "Thu, 09 Oct 2025 08:53:20 +0000",
    }
    for name in ("Cc", "Reply-To", "Sender"):
        [shown] = message[name].addresses
        assert (shown.display_name, shown.addr_spec) == (bob[0], "bob@x.test")
    assert len(message.keys()) == len({name.lower() for name in message.keys()})  # noqa: SIM118
    assert message.keys()[0] == "Received"


def test_own_headers_fill_what_no_parameter_gives() -> None:
    own = (("X-Own", "yes"), ("Date", "Mon, 01 Jan 2024 00:00:00 +0000"), ("References", "<a@b>"))
    message = read(replace(LETTER, subject=None, headers=(*own, ("subject", "mine"))))
    assert (message["X-Own"], message["References"]) == ("yes", "<a@b>")
    assert message.get_all("Date") == ["Mon, 01 Jan 2024 00:00:00 +0000"]
    assert message.get_all("Subject") == ["mine"]


@pytest.mark.parametrize(
    "name", ["From", "TO", "Subject", "Message-id", "Received", "Content-Type", "MIME-Version"]
)
def test_a_parameter_wins_over_the_same_name_among_own_headers(name: str) -> None:
    message = read(replace(LETTER, headers=((name, "evil@x.test"),)))
    assert "evil" not in str(message[name])
    assert len(message.get_all(name, [])) == 1


def test_bcc_is_never_written() -> None:
    assert read(replace(LETTER, headers=(("BCC", "spy@x.test"),)))["Bcc"] is None


@pytest.mark.parametrize(
    "own",
    [
        ("X-A", "a\r\nBcc: x@y.test"),
        ("X-A", "a\nb"),
        ("X-A", "a\rb"),
        ("X-A", "a\0b"),
        ("X-A", "\x7f"),
        ("X A", "space in the name"),
        ("X:A", "colon"),
        ("Überschrift", "not ASCII"),
        ("", "empty"),
        ("X-A\r\nBcc", "line break in the name"),
        ("Cc", "not an address list"),
        ("Reply-To", "a@x.test, <b"),
    ],
)
def test_a_header_that_could_break_out_is_refused(own: tuple[str, str]) -> None:
    with pytest.raises(UnfitHeaderError):
        compose(replace(LETTER, headers=(own,)), POSTMARK)


@pytest.mark.parametrize(
    "letter",
    [
        replace(LETTER, subject="a\r\nBcc: x@y.test"),
        replace(LETTER, attachments=(Attachment("a\r\nX: y", "text/plain", b""),)),
        replace(LETTER, attachments=(Attachment("a" * 256, "text/plain", b""),)),
        replace(LETTER, attachments=(Attachment("a", "text/plain\r\nX: y", b""),)),
        replace(LETTER, attachments=(Attachment("a", "text", b""),)),
        replace(LETTER, attachments=(Attachment("a", "text/plain" + ";" * 500, b""),)),
        replace(LETTER, author=("", Address("ü", "demo.test"))),
    ],
)
def test_a_value_that_could_break_out_is_refused(letter: Letter) -> None:
    with pytest.raises(UnfitHeaderError):
        compose(letter, POSTMARK)


@pytest.mark.parametrize(
    "subject", ["ü" * 300, "日本語" * 100, "x" * 1200, "a ü b " * 90, "  " * 600 + "x"]
)
def test_a_long_subject_is_cut_into_lines_that_rfc_2047_allows(subject: str) -> None:
    long_name = (subject, ME[1]) if subject.strip() == subject else ME
    letter = replace(LETTER, subject=subject, author=long_name, headers=(("X-" + "a" * 80, "ü"),))
    assert str(read(letter)["Subject"]) == subject.strip()
    lines = compose(letter, POSTMARK).split(b"\r\n")
    encoded = [line for line in lines if b"=?utf-8?" in line and not line.startswith(b"X-a")]
    assert max(map(len, encoded), default=0) <= 76


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("message/rfc822", "application/octet-stream"),  # these two may not be encoded
        ("multipart/mixed; boundary=x", "application/octet-stream"),
        ("TEXT/Calendar; method=REQUEST", "text/calendar"),
        ('application/pdf; name="evil.exe"', "application/pdf"),
    ],
)
def test_media_types_are_cleaned(given: str, written: str) -> None:
    attachments = (Attachment("good.bin", given, b"x"),)
    [part] = read(replace(LETTER, attachments=attachments)).iter_attachments()
    assert part.get_content_type() == written
    assert part.get_filename() == part.get_param("name") == "good.bin"


@pytest.mark.parametrize(
    "name",
    ["Ü.pdf", 'a "b" \\c.txt', "日本語" * 40 + ".txt", "a;b=c.txt", "x" * 255, "it's 100%.txt"],
)
def test_file_names_come_back_as_given(name: str) -> None:
    attachments = (Attachment(name, "application/pdf", b"\0\xff"),)
    [part] = read(replace(LETTER, attachments=attachments)).iter_attachments()
    assert part.get_filename() == name
    assert part.get_payload(decode=True) == b"\0\xff"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain words\n", "7bit"),
        ("one ü in a long enough line of other words", "quoted-printable"),
        ("日本語のテキスト", "base64"),
        ("x" * 999, "quoted-printable"),
        ("NUL \0 in a line of a few words", "quoted-printable"),
        ("", "7bit"),
    ],
)
def test_texts_get_the_encoding_that_fits(text: str, encoding: str) -> None:
    message = read(replace(LETTER, plain=text))
    part = message.get_body(("plain",))
    assert part is not None
    assert part["Content-Transfer-Encoding"] == encoding
    assert text_of(message, "plain") == text.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("ip", "line"),
    [
        ("192.0.2.1", "from api ([192.0.2.1]) by mail.test with HTTP; "),
        ("2001:db8::1", "from api ([IPv6:2001:db8::1]) by mail.test with HTTP; "),
        ("no address", "from api by mail.test with HTTP; "),
    ],
)
def test_the_received_line_is_postals(ip: str, line: str) -> None:
    expected = f"{line}Thu, 09 Oct 2025 08:53:20 +0000"
    assert received_line(ip, by="mail.test", now=1_760_000_000) == expected


def test_a_private_received_line_names_no_client() -> None:
    line = received_line("192.0.2.7", by="mail.test", now=1_760_000_000, private=True)
    assert line == "by mail.test with HTTP; Thu, 09 Oct 2025 08:53:20 +0000"


# What a header can hold: anything but controls and what UTF-8 cannot write.
values = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from('\t =?_,;"\\()<>@'),
    max_size=200,
)
bodies = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


def normalised(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\r\n", text)


@settings(max_examples=100, deadline=None)
@given(subject=values, own=values, display=values, plain=bodies, html=bodies, name=values)
def test_every_letter_comes_back_as_it_was_written(
    subject: str, own: str, display: str, plain: str, html: str, name: str
) -> None:
    letter = Letter(
        author=(display.strip(" \t"), ME[1]),
        to=(ANN,) * 20,
        subject=subject,
        plain=plain,
        html=html,
        attachments=(Attachment(name[:60], "text/plain", html.encode()),),
        headers=(("X-Own", own),),
    )
    raw = compose(letter, POSTMARK)
    message = read(letter)
    assert text_of(message, "plain") == normalised(plain)
    assert text_of(message, "html") == normalised(html)
    header = email.message_from_bytes(raw, policy=email.policy.compat32)
    assert len(header.keys()) == 10
    for field, text in (("Subject", subject), ("X-Own", own)):
        if "=?" not in text:  # what looks like an encoded word is passed on as one
            parts = email.header.decode_header(re.sub(r"\r\n(?=[ \t])", "", header[field]))
            shown = "".join(p.decode(c or "ascii") if isinstance(p, bytes) else p for p, c in parts)
            assert shown == text.strip(" \t")
