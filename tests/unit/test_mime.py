"""A message is rewritten in its text parts only, and every other octet is the sender's."""

import base64
import binascii
import quopri
import re
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.mime import MAX_DEPTH, MAX_PARTS, RewrittenMessage, Skip, rewrite_message
from mailroom.domain.mime_entity import MAX_HEADER_LINES

NEW = "https://t.example/c/token"
PIXEL = "https://t.example/o/token"
HTML = '<p>h\u00e9 <a href="https://x.example/?a=1&amp;b=2">x</a></p>\r\n'
TEXT = "h\u00e9 https://x.example/?a=1.\r\n"
SAFE = b"No link here.\r\n"


def rewritten(raw: bytes, *, pixel: str | None = PIXEL) -> RewrittenMessage:
    return rewrite_message(raw, link=lambda _: NEW, pixel=pixel)


def part(header: str, body: bytes) -> bytes:
    return header.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


def multi(kind: str, *parts: bytes, boundary: str = "b1", extra: str = "") -> bytes:
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary.encode(), one) for one in parts)
    header = f'{extra}Content-Type: multipart/{kind}; boundary="{boundary}"'
    around = b"outside https://n.example\r\n"
    return part(header, around + body + b"--%b--\r\n" % boundary.encode() + around)


LINK = b"<a href=https://x.example>"
HTML_PART = part("Content-Type: text/html", b'<a href="https://x.example/">x</a>')
TEXT_PART = part("Content-Type: text/plain", b"see https://x.example/ there")


def email_of(cte: str, charset: str = "utf-8") -> bytes:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = "a@example.com", "b@example.org"
    message["Subject"] = "h\u00e9 https://n.example/"
    message.set_content(TEXT * 5, cte=cte, charset=charset)
    message.add_alternative(HTML * 5, subtype="html", cte=cte, charset=charset)
    message.add_attachment(HTML, subtype="html", filename="a.html", cte=cte)
    return message.as_bytes()


@pytest.mark.parametrize("cte", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1"])
def test_a_usual_message_reads_the_same_but_for_its_links(cte: str, charset: str) -> None:
    raw = email_of(cte, charset)
    got = rewritten(raw)
    assert (got.links, got.pixels, got.untracked_long, got.skipped) == (10, 1, 0, None)
    before = message_from_bytes(raw, policy=policy.SMTP)
    after = message_from_bytes(got.raw, policy=policy.SMTP)
    parts = list(zip(before.walk(), after.walk(), strict=True))
    for old, new in parts:
        assert new.items() == old.items()
        assert not new.defects
    text, html, attached = [(old, new) for old, new in parts if not old.is_multipart()]
    assert text[1].get_content() == text[0].get_content().replace("https://x.example/?a=1", NEW)
    expected = html[0].get_content().replace("https://x.example/?a=1&amp;b=2", NEW)
    image = re.search("<img [^>]*>", html[1].get_content())
    assert image
    assert html[1].get_content().replace(image[0], "") == expected
    assert attached[1].as_bytes() == attached[0].as_bytes()
    assert max(map(len, got.raw.split(b"\r\n"))) <= 998
    assert b"\n" not in got.raw.replace(b"\r\n", b"")


def test_a_message_without_multipart_is_rewritten() -> None:
    assert rewritten(b"Subject: x\r\n\r\nhttps://x.example/\r\n").raw == (
        b"Subject: x\r\n\r\n" + NEW.encode() + b"\r\n"
    )
    html = rewritten(b"content-TYPE:\r\n\tTEXT/HTML\r\n\r\n<p></body>")
    assert (html.pixels, html.raw[:27]) == (1, b"content-TYPE:\r\n\tTEXT/HTML\r\n")


def test_only_changed_lines_of_quoted_printable_are_encoded_again() -> None:
    # Upper and lower case digits, needless escapes and short soft breaks would not survive.
    odd = b"<p>=e9=E9 =41 so=\r\nft</p>\r\n"
    body = odd + b'<a href=3D"https://x.=\r\nexample/">x</a>\r\n' + odd
    raw = part("Content-Type: text/html\nContent-Transfer-Encoding: Quoted-Printable", body)
    got = rewritten(raw, pixel=None).raw
    assert got == raw.replace(b"https://x.=\r\nexample/", NEW.encode())


@pytest.mark.parametrize(
    "body",
    [
        b'a=0D=0Ab <a href=3D"https://x.example/">',
        b'a=0Ab =0D <a href=3D"https://x.example/">=\r\n',
        b'a=\nb <a href=3D"https://x.example/"> \r\n=ZZ= \r\n==\r\n=',
        b'<a href=3D"https://x.\r\nexample/">\r\n\r\nb=3D',
        b'a=\rb\r\nc=0D=0A<a href=3D"https://x.example/">',
    ],
)
def test_odd_quoted_printable_decodes_to_the_same(body: bytes) -> None:
    raw = part("Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable", body)
    got = rewritten(raw, pixel=None)
    expected = re.sub(rb"https://x\.\s*example/", NEW.encode(), binascii.a2b_qp(body))
    assert binascii.a2b_qp(got.raw.partition(b"\r\n\r\n")[2]) == expected
    assert got.links == 1


def test_a_base64_part_stays_base64_in_short_lines() -> None:
    text = b"https://x.example/ \xff\x00" * 50
    raw = multi(
        "mixed",
        part("Content-Transfer-Encoding: base64", base64.encodebytes(text).replace(b"\n", b"\r\n")),
    )
    got = rewritten(raw).raw
    body = got.partition(b"base64\r\n\r\n")[2].partition(b"--b1")[0]
    assert max(map(len, body.split(b"\r\n"))) == 76
    assert body.endswith(b"\r\n\r\n")  # the text's own line end and that of the boundary
    assert base64.b64decode(body) == text.replace(b"https://x.example/", NEW.encode())


@pytest.mark.parametrize(
    "body", [b"aHR0cHM6Ly94LmV4YW1wbGUv*", b"aHR0cHM6Ly94LmV4YW1wbGU", b"aHR0cA==\r\nfooter"]
)
def test_broken_base64_stays(body: bytes) -> None:
    raw = part("Content-Transfer-Encoding: base64", body)
    assert rewritten(raw).raw == raw


@pytest.mark.parametrize(
    "declared", ["", "\nContent-Transfer-Encoding: 8bit (x)", "\nContent-transfer-encoding:7BIT"]
)
def test_a_line_that_grows_too_long_becomes_quoted_printable(declared: str) -> None:
    line = "x" * 990 + " https://x.example/ \u00e9"
    header = f"Content-Type: text/plain; charset=utf-8{declared}\nX-Last: 1"
    raw = multi("mixed", part(header, line.encode()), HTML_PART)
    got = rewritten(raw, pixel=None).raw
    assert max(map(len, got.split(b"\r\n"))) <= 76 + len(NEW)
    leaf = message_from_bytes(got, policy=policy.SMTP).get_payload()[0]
    assert leaf.get_all("content-transfer-encoding") == ["quoted-printable"]
    assert leaf["x-last"] == "1"
    assert leaf.get_content().strip() == line.replace("https://x.example/", NEW)


def test_a_bare_message_that_becomes_quoted_printable_says_it_is_mime() -> None:
    line = b"x" * 990 + b" https://x.example/"
    got = message_from_bytes(rewritten(b"Subject: x\r\n\r\n" + line).raw, policy=policy.SMTP)
    assert (got["mime-version"], got["content-transfer-encoding"]) == ("1.0", "quoted-printable")
    assert got.get_content().strip().endswith(NEW)
    given_ = rewritten(b"MIME-Version: 1.0\r\n\r\n" + line).raw
    assert given_.count(b"MIME-Version") == 1


@pytest.mark.parametrize("kind", ["mixed", "alternative", "related"])
def test_links_of_every_text_part_and_one_pixel(kind: str) -> None:
    inner = multi("alternative", TEXT_PART, HTML_PART, boundary="b1x")
    got = rewritten(multi(kind, TEXT_PART, inner, HTML_PART))
    assert (got.links, got.pixels) == (4, 1)
    assert got.raw.index(b"<img ") < got.raw.index(b"--b1x--")
    assert got.raw.count(b"https://n.example") == 4  # preambles and epilogues


@pytest.mark.parametrize(
    "raw",
    [
        multi("signed", HTML_PART, TEXT_PART),
        multi("mixed", multi("signed", HTML_PART, TEXT_PART, boundary="b2")),
        multi("encrypted", HTML_PART),
        multi("report", TEXT_PART),
        multi("digest", TEXT_PART),
        multi("mixed", part("Content-Type: message/rfc822", HTML_PART)),
        multi("mixed", part("Content-Type: text/html\nContent-Disposition: attachment", LINK)),
        multi(
            "mixed",
            part("Content-Type: text/html\nContent-Disposition: inline; filename=a.html", LINK),
        ),
        multi(
            "mixed",
            part(
                "Content-Type: text/html\nContent-Disposition: inline;\n"
                " filename*0*=utf-8''a;\n filename*1=b",
                LINK,
            ),
        ),
        multi("mixed", part('Content-Type: text/html; name="a.html"', LINK)),
        multi("mixed", part("Content-Type: text/html\nContent-Disposition: form-data", LINK)),
        multi("mixed", part("Content-Type: text/html; charset=utf-16", LINK)),
        multi("mixed", part("Content-Type: text/plain; charset=utf-7", b"https://x.example")),
        multi("mixed", part("Content-Type: text/plain; charset=ISO-2022-JP", b"https://x.example")),
        multi("mixed", part("Content-Type: text/plain; charset=rot13", b"https://x.example")),
        multi(
            "mixed", part("Content-Type: text/html\nContent-Transfer-Encoding: x-uuencode", LINK)
        ),
        multi("mixed", part("Content-Type: text/html\nContent-Type: text/plain", LINK)),
        multi("mixed", part("Content-Type: text/html; charset=a; charset=b", LINK)),
        multi("mixed", part("Content-Type: text/html garbage", LINK)),
        multi("mixed", part("Content-Type: text/x-amp-html", LINK)),
        multi("mixed", part("Content-Disposition: inline; x=1; x=2", b"https://x.example")),
        multi("mixed", b"Content-Type: text/html\r\nX: https://x.example/"),
        multi("mixed", b"Content-Type: text/html\r\n\r\n"),
        multi("mixed", HTML_PART, extra="Content-Transfer-Encoding: base64\r\n"),
        multi("mixed", HTML_PART).replace(b"; boundary=", b"; border="),
        multi("mixed", HTML_PART).replace(b"--b1", b"--b1c"),
        part("Content-Type: application/pkcs7-mime", b"https://x.example/"),
        part(
            "Content-Type: text/plain",
            b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nhttps://x.example/",
        ),
        b"Subject: no body https://x.example/\r\n",
        b"Subject: bare line feeds\n\nhttps://x.example/\n",
        b"",
        b"\r\n",
    ],
)
def test_what_is_not_ours_to_change_stays(raw: bytes) -> None:
    got = rewritten(raw)
    assert got.raw == raw
    assert (got.links, got.pixels) == (0, 0)


@pytest.mark.parametrize(
    "header",
    [
        "multipart/mixed; boundary=b1",
        'multipart/mixed;\r\n\tboundary="b1"',
        'Multipart/Mixed (a "comment" \\) (nested)) ; charset=x; BOUNDARY = "b1  "',
        'multipart/mixed; x="; boundary=no"; boundary="\\b\\1"',
        "multipart/mixed; boundary*=us-ascii'en'b%31",
        "multipart/mixed; boundary*1=\"1\"; boundary*0*=''%62",
    ],
)
def test_the_boundary_is_read_however_it_is_written(header: str) -> None:
    raw = f"Content-Type: {header}\r\n\r\n--b1 \t\r\n".encode() + HTML_PART + b"\r\n--b1--"
    assert rewritten(raw).links == 1


def test_a_missing_close_and_empty_parts_are_forgiven() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b\r\n" + HTML_PART
    assert rewritten(raw).links == 1


def test_a_boundary_counts_only_at_the_start_of_a_line() -> None:
    raw = multi(
        "mixed",
        part(
            "Content-Type: text/plain",
            b"x --b1\r\nhttps://x.example/ \r\n--b11\r\nhttps://y.example/",
        ),
    )
    assert rewritten(raw).links == 2


def test_x_amp_skip_turns_tracking_off_and_keeps_the_header() -> None:
    raw = b"X-AMP: skip\r\n" + multi("mixed", HTML_PART, TEXT_PART)
    got = rewritten(raw)
    assert (got.raw, got.skipped, got.links, got.pixels) == (raw, Skip.X_AMP, 0, 0)
    opted = raw.replace(b"https://x.example/", b"https+notrack://x.example/")
    assert rewritten(opted).raw == raw


def test_opt_outs_are_restored_when_nothing_is_tracked() -> None:
    raw = email_of("quoted-printable")
    opted = raw.replace(b"https://x.example", b"https+notrack://x.example")
    got = rewrite_message(opted, link=None, pixel=None)
    old, new = (message_from_bytes(one, policy=policy.SMTP) for one in (raw, got.raw))
    assert new.get_body(("html",)).get_content() == old.get_body(("html",)).get_content()
    assert new.get_body(("plain",)).get_content() == old.get_body(("plain",)).get_content()
    assert rewrite_message(raw, link=None, pixel=None).raw is raw


def test_reasons_are_told() -> None:
    assert rewritten(multi("signed", HTML_PART)).skipped == Skip.PROTECTED
    many = multi("mixed", *[HTML_PART] * MAX_PARTS)
    assert (rewritten(many).raw, rewritten(many).skipped) == (many, Skip.TOO_MANY_PARTS)
    lines = b"X: y\r\n" * (MAX_HEADER_LINES + 1) + HTML_PART
    assert (rewritten(lines).raw, rewritten(lines).skipped) == (lines, Skip.HEADER_TOO_LONG)
    wide = b"X: " + b"y" * 300_000 + b"\r\n" + HTML_PART
    assert (rewritten(wide).raw, rewritten(wide).skipped) == (wide, Skip.HEADER_TOO_LONG)


@pytest.mark.parametrize(("depth", "links"), [(MAX_DEPTH, 1), (MAX_DEPTH + 1, 0), (200, 0)])
def test_nesting_is_followed_to_a_limit(depth: int, links: int) -> None:
    raw = HTML_PART
    for level in range(depth):
        raw = multi("mixed", raw, boundary=f"level{level}.")
    assert rewritten(raw).links == links


def test_a_long_url_is_counted() -> None:
    raw = part("Content-Type: text/plain", b"https://x.example/" + b"y" * 1_900)
    got = rewritten(raw)
    assert (got.raw, got.untracked_long) == (raw, 1)


HEAD = b"Content-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n"
paragraphs = st.lists(
    st.sampled_from(
        [
            "h\u00e9llo = world",
            "",
            ".",
            "https://x.example/?q=1",
            "x" * 90,
            "tab\t ",
            '<a href="https://x.example/">x</a>',
        ]
    ),
    max_size=8,
).map("\r\n".join)
encodings = st.sampled_from(["8bit", "quoted-printable", "base64"])


def encoded(text: str, cte: str) -> bytes:
    octets = text.encode()
    if cte == "base64":
        return base64.encodebytes(octets).replace(b"\n", b"\r\n")
    if cte == "quoted-printable":
        return re.sub(rb"\r?\n", b"\r\n", quopri.encodestring(octets))
    return octets


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["plain", "html", "calendar"]), encodings, paragraphs), max_size=5
    )
)
def test_octets_outside_of_the_rewritten_text_are_equal(
    parts: list[tuple[str, str, str]],
) -> None:
    heads = [HEAD % (kind.encode(), cte.encode()) for kind, cte, _ in parts]
    bodies = [encoded(text, cte) for _, cte, text in parts]
    raw = multi("mixed", *map(b"".join, zip(heads, bodies, strict=True)))
    # The new link is the old one with a mark, so that the text can be put back exactly.
    got = rewrite_message(raw, link=lambda url: url + "~~", pixel=None).raw
    # The output must fit the input with a hole for each text.
    holes = [b"(.*?)" if kind in ("plain", "html") else b"()" for kind, _, _ in parts]
    kept = [
        re.escape(b"" if hole == b"(.*?)" else b) for hole, b in zip(holes, bodies, strict=True)
    ]
    fits = multi("mixed", *map(b"".join, zip(map(re.escape, heads), holes, kept, strict=True)))
    found = re.fullmatch(fits, got, re.DOTALL)
    assert found
    for (kind, cte, text), body, new in zip(parts, bodies, found.groups(), strict=True):
        if kind != "calendar":
            assert decoded(new, cte).replace(b"~~", b"") == decoded(body, cte)
            assert new == body or "https" in text


def decoded(body: bytes, cte: str) -> bytes:
    if cte == "base64":
        return base64.b64decode(body)
    return binascii.a2b_qp(body) if cte == "quoted-printable" else body
