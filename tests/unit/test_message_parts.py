"""Reading the parts of a message: what a person would see, whatever was sent."""

import base64
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.headers import to_crlf
from mailroom.domain.message_parts import MAX_PARTS, File, MessageParts, read_parts


def text(content_type: str, body: bytes, encoding: str = "8bit") -> bytes:
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("latin-1") + body


def multipart(kind: str, *parts: bytes) -> bytes:
    mark = f"b{abs(hash(parts))}".encode()
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), mark)
    return head + b"".join(b"--%s\r\n%s\r\n" % (mark, part) for part in parts) + b"--%s--" % mark


@pytest.mark.parametrize(
    ("content_type", "body", "encoding", "expected"),
    [
        ("text/plain", b"a\r\nb", "7bit", "a\nb"),
        ("text/plain; charset=utf-8", "grün".encode(), "8bit", "grün"),
        ("text/plain; charset=iso-8859-1", b"gr\xfcn", "8bit", "grün"),
        ('text/plain; charset="Windows-1252"', b"\x80", "binary", "€"),
        ("text/plain; charset=us-ascii", "grün".encode(), "8bit", "grün"),
        ("text/plain; charset=utf-8", b"gr=C3=BCn=\r\n!", "quoted-printable", "grün!"),
        ("text/plain; charset=utf-8", base64.b64encode("grün".encode()), "base64", "grün"),
        ("text/plain; charset=utf-16-le", "x".encode("utf-16-le"), "8bit", "x"),
        ("text/plain; charset=idna", b"x", "8bit", "x"),
        ("text/plain; charset=nonsense", b"\xff", "8bit", "\ufffd"),
        ("text/plain", b"eHg!h?", "base64", "xx!"),
        ("text/plain", b"x", "x-unknown", "x"),
    ],
)
def test_a_text_is_decoded(content_type: str, body: bytes, encoding: str, expected: str) -> None:
    assert read_parts(text(content_type, body, encoding)) == MessageParts(plain=expected)


def test_a_message_without_a_type_is_text() -> None:
    assert read_parts(b"Subject: s\r\n\r\nhello") == MessageParts(plain="hello")


def test_the_standard_librarys_messages_are_read() -> None:
    message = EmailMessage()
    message["Subject"] = "s"
    message.set_content("plain\n")
    message.add_alternative("<p>html</p>\n", subtype="html")
    message.add_attachment(b"\0\1", maintype="image", subtype="png", filename="grün ß.png")
    message.add_attachment("note\n", filename="note.txt")
    parts = read_parts(to_crlf(message.as_bytes()))
    assert (parts.plain, parts.html) == ("plain\n", "<p>html</p>\n")
    assert parts.files == (
        File("grün ß.png", "image/png", b"\0\1"),
        File("note.txt", "text/plain", b"note\r\n"),
    )


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (b'Content-Type: application/pdf; name="a b.pdf"', "a b.pdf"),
        (b'Content-Disposition: attachment; filename="a\\"b.pdf"', 'a"b.pdf'),
        (b"Content-Disposition: attachment; filename*=utf-8''gr%C3%BCn", "grün"),
        (b'Content-Disposition: attachment; filename="=?utf-8?q?gr=C3=BCn?="', "grün"),
        ('Content-Disposition: attachment; filename="grün"'.encode(), "grün"),
        (b"Content-Disposition: attachment; filename*0=a; filename*1=b", "ab"),
        (b"Content-Disposition: attachment; filename*=nonsense''%ff", "ÿ"),
        (b"Content-Disposition: attachment", ""),
        (b"Content-Disposition: attachment; filename=" + b"x" * 5_000, ""),
    ],
)
def test_a_file_has_its_name(fields: bytes, name: str) -> None:
    [file] = read_parts(fields + b"\r\n\r\nx").files
    assert (file.name, file.content) == (name, b"x")


def test_the_first_texts_count_and_other_parts_are_files() -> None:
    raw = multipart(
        "mixed",
        text("text/plain", b"first"),
        multipart("related", text("text/html", b"<p>"), text("image/gif", b"GIF")),
        text("text/plain", b"second"),
        text("message/rfc822", b"Subject: inner\r\n\r\ninner"),
    )
    assert read_parts(raw) == MessageParts(
        "first",
        "<p>",
        (File("", "image/gif", b"GIF"), File("", "message/rfc822", b"Subject: inner\r\n\r\ninner")),
    )


def test_there_is_an_end_to_parts_and_to_depth() -> None:
    many = multipart("mixed", *[text("image/gif", b"%d" % n) for n in range(2 * MAX_PARTS)])
    assert len(read_parts(many).files) <= MAX_PARTS
    deep = text("text/plain", b"x")
    for _ in range(100):
        deep = multipart("mixed", deep)
    assert read_parts(deep) == MessageParts()


pieces = st.sampled_from(
    [b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n", b"--b--\r\n", b"\r\n",
     b"Content-Type: text/html; charset=utf-7\r\n", b"Content-Transfer-Encoding: base64\r\n",
     b"Content-Disposition: attachment; filename*0*=x''%; filename*1=\r\n",
     b"Content-Type: image/png; name*=;name=\"=?utf-8?b?/?=\"\r\n", b"eA=\r\n", b"\0\xff"]
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(raw=st.lists(pieces | st.binary(max_size=20), max_size=15).map(b"".join))
def test_any_octets_are_read(raw: bytes) -> None:
    parts = read_parts(to_crlf(raw))
    for shown in (parts.plain, parts.html, *(file.name for file in parts.files)):
        (shown or "").encode("utf-8")
