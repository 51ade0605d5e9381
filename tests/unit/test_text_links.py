"""Links of a plain-text part end where a reader would say they end."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.text_links import rewrite_text
from mailroom.domain.tracking_token import MAX_TRACKED_URL


def marked(text: str, charset: str = "utf-8") -> str:
    """Return `text` with every tracked URL between backticks."""
    got = rewrite_text(text.encode(charset), link=lambda url: f"`{url}`", charset=charset)
    return re.sub(r"&#(\d+);", lambda code: chr(int(code[1])), got.text.decode(charset))


@pytest.mark.parametrize(
    "expected",
    [
        "`http://x.example`",
        "go to `http://x.example/`. Or not",
        "`https://x.example/a?b=1&c=2#d`, `https://y.example/`; (`HTTP://z.example/`):",
        "<`https://x.example/`>",
        "\"`https://x.example/`\" '`https://x.example/`'",
        "(`https://x.example/a`) (`https://x.example/Foo_(bar)`). `https://x.example/(a)(b)`)))",
        "{`https://x.example/{a}`} \x01`https://x.example/`\x7f",
        "really?! `https://x.example/what`?!...",
        "`https://x.example/@me/$1,2!*'|~;d:e` x",
        "`https://x.example/a.b,c;d:e!f?g'h`",
        "`https://b\u00fccher.example/stra\u00dfe?q=\u65e5`\u3002\u6b21 \u201c`https://x.example/`\u201d",
        "\uff08`https://x.example/`\uff09 \u00ab`https://x.example/`\u00bb\u00a0x",
        "xhttp://n.example www.n.example mailto:a@n.example http:// https://... ftp://n.example",
        "svn+http://n.example http:/n.example http://\\n.example",
        "a\r\n`http://x.example`\r\nb\r\n",
    ],
)
def test_a_url_ends_where_a_reader_ends_it(expected: str) -> None:
    plain = expected.replace("`", "")
    assert marked(plain) == expected


@pytest.mark.parametrize("clicks", [True, False])
def test_an_opt_out_is_restored_and_not_tracked(*, clicks: bool) -> None:
    text = b"a https+notrack://x.example/?u=https://y.example, HTTP+notrack://z.example\r\n"
    got = rewrite_text(text, link=(lambda _: "T") if clicks else None)
    assert got.text == b"a https://x.example/?u=https://y.example, HTTP://z.example\r\n"
    assert got.links == 0


def test_links_are_counted_and_long_ones_left() -> None:
    long = b"http://x.example/" + b"y" * MAX_TRACKED_URL
    longer = b"http://x.example/" + b"y" * 9 * MAX_TRACKED_URL
    got = rewrite_text(b"http://x.example/ %b %b." % (long, longer), link=lambda _: "T")
    assert got.text == b"T %b %b." % (long, longer)
    assert (got.links, got.untracked_long) == (1, 2)


def test_a_link_that_is_given_back_is_left_alone() -> None:
    text = "see https://b\u00fccher.example.".encode()
    got = rewrite_text(text, link=lambda url: url)
    assert (got.text, got.links) == (text, 0)


def test_the_charset_of_the_part_is_used() -> None:
    assert (
        marked("http://x.example/\u00e9t\u00e9.", "iso-8859-1")
        == "`http://x.example/\u00e9t\u00e9`."
    )
    assert marked("http://x.example/\u8868 x", "shift_jis") == "`http://x.example/\u8868` x"


def test_octets_that_are_not_of_the_charset_end_the_url() -> None:
    got = rewrite_text(b"http://x.example/a\xff\xfeb c", link=lambda url: f"`{url}`")
    assert got.text == b"`http://x.example/a`\xff\xfeb c"


def test_octets_with_two_spellings_end_the_url() -> None:
    # cp932 has this character twice and Python would write the other one.
    got = rewrite_text(b"http://x.example/\x87\x90 c", link=lambda url: f"`{url}`", charset="cp932")
    assert got.text == b"`http://x.example/`\x87\x90 c"


pieces = st.sampled_from(
    [
        b"http://x.example/",
        b"https://y.example",
        b"(",
        b")",
        b".",
        b" ",
        b"\xc3\xa9",
        b"\xff",
        b"\r\n",
        b"<",
        b'"',
        b"a",
    ]
)


@settings(max_examples=100)
@given(st.lists(pieces, max_size=20).map(b"".join), st.sampled_from(["utf-8", "gb18030", "big5"]))
def test_everything_but_the_urls_is_equal_byte_for_byte(text: bytes, charset: str) -> None:
    urls: list[str] = []

    def link(url: str) -> str:
        urls.append(url)
        return f"~{len(urls) - 1}~"

    got = rewrite_text(text, link=link, charset=charset)
    assert got.links == len(urls)
    back = re.sub(rb"~(\d+)~", lambda found: urls[int(found[1])].encode(charset), got.text)
    assert back == text
