"""Any octets in: the rewriter never raises, and what it does not understand comes out equal."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.mime import rewrite_message

lines = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b",
        b'content-type: multipart/alternative; boundary="c"',
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Type: text/plain",
        b"Content-Type: text/html; charset*0*=%",
        b"Content-Type: multipart/signed; boundary=b",
        b"Content-Type: (((",
        b"Content-Type: message/rfc822",
        b"Content-Transfer-Encoding: quoted-printable",
        b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: inline; x",
        b"X-AMP: skip",
        b" folded; boundary=b",
        b"--b",
        b"--b--",
        b"--c",
        b"--c--",
        b"--bb",
        b"",
        b"",
        b"",
        b'<a href="https://x.example/?a&amp;b">',
        b"<a href=3D'https://x.exa=",
        b"mple/'>",
        b"https://x.example/.",
        b"</body>",
        b"<!--",
        b"-->",
        b"aHR0cHM6Ly94LmV4YW1wbGUv",
        b"=",
        b"==",
        b"=0D=0A",
        b"\xff\x00",
        b"x" * 1_000,
    ]
)
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])
messages = st.lists(st.tuples(lines | st.binary(max_size=20), ends).map(b"".join), max_size=40).map(
    b"".join
)


@settings(max_examples=100, deadline=None)
@given(messages)
def test_with_nothing_to_change_every_octet_is_equal(raw: bytes) -> None:
    assert rewrite_message(raw, link=None, pixel=None).raw == raw
    assert rewrite_message(raw, link=lambda url: url, pixel=None).raw == raw


@settings(max_examples=100, deadline=None)
@given(messages)
def test_whatever_changes_is_counted_and_the_header_stays(raw: bytes) -> None:
    got = rewrite_message(raw, link=lambda _: "https://t.example/", pixel="https://t.example/p")
    assert (got.raw != raw) == (got.links + got.pixels > 0)
    assert got.pixels <= 1
    header = b"" if raw.startswith(b"\r\n") else raw.partition(b"\r\n\r\n")[0]
    assert got.raw.startswith(header)


@settings(max_examples=100, deadline=None)
@given(messages)
def test_a_second_pass_finds_only_what_the_first_wrote(raw: bytes) -> None:
    first = rewrite_message(raw, link=lambda _: "https://t.example/", pixel=None)
    seen: list[str] = []

    def link(url: str) -> str:
        seen.append(url)
        return url

    assert rewrite_message(first.raw, link=link, pixel=None).raw == first.raw
    assert set(seen) <= {"https://t.example/"}
