"""Links of an HTML part are found like a browser finds them, and nothing else changes."""

import html as entities
import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mailroom.domain.html_links import rewrite_html
from mailroom.domain.tracking_token import MAX_TRACKED_URL, is_trackable

NEW = "https://t.example/c/token"
PIXEL = "https://t.example/o/token?a&b"
IMAGE = re.compile(rb'<img src="https://t\.example/o/token\?a&amp;b" width="1" height="1" [^>]*>')


def found(html: bytes, charset: str = "utf-8") -> list[str]:
    """Return the URLs that `rewrite_html` offers for tracking."""
    offered: list[str] = []

    def link(url: str) -> str:
        offered.append(url)
        return url

    assert rewrite_html(html, link=link, pixel=None, charset=charset).html == html
    return offered


def swapped(html: bytes) -> bytes:
    return rewrite_html(html, link=lambda _: NEW, pixel=None).html


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'<a href="http://x.example/">', b'<a href="%b">'),
        (b"<A\r\nHREF = 'http://x.example/'\tid=1>", b"<A\r\nHREF = '%b'\tid=1>"),
        (b"<a href=http://x.example/ id=1>", b'<a href="%b" id=1>'),
        (b"<a href=http://x.example/>", b'<a href="%b">'),
        (b"<a/href='http://x.example/'/>", b"<a/href='%b'/>"),
        (
            b'<area shape="rect" href="http://x.example/" alt=">">',
            b'<area shape="rect" href="%b" alt=">">',
        ),
        (b'<a b="<a href=\'/\'>" href="http://x.example/">', b'<a b="<a href=\'/\'>" href="%b">'),
        (
            b'<a data-href="http://n/" href="http://x.example/" href="http://n/">',
            b'<a data-href="http://n/" href="%b" href="http://n/">',
        ),
        (b'<a href=" \r\nhttp://x.exam\r\nple/ ">', b'<a href="%b">'),
        (
            b'<![if !mso]><a href="http://x.example/"><![endif]>',
            b'<![if !mso]><a href="%b"><![endif]>',
        ),
        (
            b"<script>'<a href=http://n.example/>'</script ><a href='http://x.example/'>",
            b"<script>'<a href=http://n.example/>'</script ><a href='%b'>",
        ),
        (b'a < b <a href="http://x.example/"> <', b'a < b <a href="%b"> <'),
        (b'<!-- - --!><a href="http://x.example/">', b'<!-- - --!><a href="%b">'),
        (b'<!--><a href="http://x.example/">', b'<!--><a href="%b">'),
        (b'<!---><a href="http://x.example/">-->', b'<!---><a href="%b">-->'),
        (b'<p ="><a href="http://x.example/">', b'<p ="><a href="%b">'),
    ],
)
def test_a_link_is_replaced_in_its_own_quotes(before: bytes, after: bytes) -> None:
    assert swapped(before) == after % NEW.encode()


@pytest.mark.parametrize(
    "html",
    [
        b'<!-- <a href="http://n.example/"> -->',
        b'<!--[if mso]><a href="http://n.example/"><![endif]-->',
        b'<!-- a --!x> <a href="http://n.example/"> -->',
        b'<![CDATA[ <a href="http://n.example/">',
        b'<style>/* <a href="http://n.example/"> */</style>',
        b'<TITLE><a href="http://n.example/"></p></TITLE>',
        b'<textarea><a href="http://n.example/">',
        b'<script src="x"><a href="http://n.example/"></scripty></script>',
        b'<base href="http://n.example/"><link href="http://n.example/">',
        b'<abbr href="http://n.example/"><a name="http://n.example/">',
        b'<a href="mailto:a@n.example"><a href="#top"><a href=""><a href><a href=>',
        b'<a href="javascript:location=\'http://n.example/\'"><a href="/path">',
        b'<a href="{{unsubscribe}}"><a href="http://n.example/{{id}}"><a href="http://{{h}}/">',
        b'<a href="*|UNSUB|*"><a href="%unsubscribe_url%"><a href="[url]">',
        b'<a href="http://n.example/',
        b'<a href="http://n.example/" ',
        b'<a b="<a href=http://n.example/>',
        b'<a href="http://n.example/\xff">',
        b'<a href="http://n.example/&#1;x">',
        b'<a href="http://n.example/\x01x">',
        b'</a href="http://n.example/">',
    ],
)
def test_what_is_no_web_link_stays(html: bytes) -> None:
    assert found(html) == []


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (b"http://x.example/?a=1&amp;b=2", "http://x.example/?a=1&b=2"),
        (b"http://x.example/?a=1&b=2", "http://x.example/?a=1&b=2"),
        (b"http://x.example/?a&copy=1&reg;&notit;&lt", "http://x.example/?a&copy=1\u00ae&notit;<"),
        (b"http://x.example/?a&#38;b&#x26;c&#64d", "http://x.example/?a&b&c@d"),
        (b"&#104;ttp&colon;//x.example&sol;", "http://x.example/"),
        (b"http://x.example/a b", "http://x.example/a%20b"),
        (b"http://x.example/@me/$1,2!*'|{}(x)~", "http://x.example/@me/$1,2!*'|{}(x)~"),
        (b"http://x.example/?q={%22a%22:1}", "http://x.example/?q={%22a%22:1}"),
        ("http://b\u00fccher.example/\u65e5".encode(), "http://b\u00fccher.example/\u65e5"),
        (b"HTTPS://X.example?q", "HTTPS://X.example?q"),
    ],
)
def test_a_value_is_read_as_browsers_read_it(value: bytes, url: str) -> None:
    assert found(b'<a href="%b">' % value) == [url]


def test_a_value_is_read_in_the_charset_of_the_part() -> None:
    assert found(b'<a href="http://x.example/\xe9">', "iso-8859-1") == ["http://x.example/\u00e9"]
    value = "http://x.example/\u8868".encode("shift_jis")  # its second octet is a backslash
    assert found(b'<a href="%b">' % value, "shift_jis") == ["http://x.example/\u8868"]


def test_a_new_value_is_escaped() -> None:
    got = rewrite_html(
        b"<a href='http://x.example/'>", link=lambda _: "http://t/?'\"<&\u20ac", pixel=None
    )
    assert got.html == b"<a href='http://t/?&#x27;&quot;&lt;&amp;&#8364;'>"


@pytest.mark.parametrize("clicks", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b'<a href="https+notrack://x.example/?a&amp;b">',
            b'<a href="https://x.example/?a&amp;b">',
        ),
        (b"<a href=http+notrack://x.example/>", b"<a href=http://x.example/>"),
        (b"<a href='HTTP+NoTrack://x.example/'>", b"<a href='HTTP://x.example/'>"),
        (
            b'<a href="https&#43;notrack://x.example/?a&amp;b">',
            b'<a href="https://x.example/?a&amp;b">',
        ),
        (
            b"<!-- http+notrack://x.example/ --> http+notrack://y",
            b"<!-- http://x.example/ --> http://y",
        ),
        (b"svn+http+notrack://x xhttp+notrack://x", b"svn+http+notrack://x xhttp+notrack://x"),
    ],
)
def test_an_opt_out_is_restored_and_not_tracked(
    before: bytes, after: bytes, *, clicks: bool
) -> None:
    got = rewrite_html(before, link=(lambda _: NEW) if clicks else None, pixel=None)
    assert got.html == after
    assert got.links == 0


def test_links_are_counted_and_long_ones_left() -> None:
    long = b"http://x.example/" + b"y" * MAX_TRACKED_URL
    html = b'<a href="http://x.example/"><a href="%b"><a href="http://x.example/">' % long
    got = rewrite_html(html, link=lambda _: NEW, pixel=None)
    assert (got.links, got.untracked_long) == (2, 1)
    assert long in got.html


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"<body>x</body></html>", b"<body>x@</body></html>"),
        (
            b"<p></body><p></BODY ></html><!-- </body> -->",
            b"<p></body><p>@</BODY ></html><!-- </body> -->",
        ),
        (b"<p><style></body></style></html>\r\n", b"<p><style></body></style>@</html>\r\n"),
        (b"<p title='</body>'>x\r\n", b"<p title='</body>'>x\r\n@"),
        (b"", b"@"),
        (b"x <!-- never closed", b"x @<!-- never closed"),
        (b"x <p title='never closed", b"x @<p title='never closed"),
        (b"x <style> never closed", b"x @<style> never closed"),
        (b"</body><a href='http://x.example/'>", b"@</body><a href='https://t.example/c/token'>"),
    ],
)
def test_the_pixel_stands_once_before_the_last_real_body_end(before: bytes, after: bytes) -> None:
    got = rewrite_html(before, link=lambda _: NEW, pixel=PIXEL).html
    assert IMAGE.subn(b"@", got) == (after, 1)


def test_a_tag_with_endless_attributes_ends_the_rewriting() -> None:
    html = b'<a href="http://x.example/"><p' + b" a=b'" * 300 + b'><a href="http://n.example/">'
    assert found(html) == ["http://x.example/"]


@pytest.mark.parametrize(
    "unit",
    [
        b"<",
        b"<a ",
        b"<a href=",
        b"<!--",
        b"--",
        b"<p a='",
        b"a=b ",
        b"</",
        b"<!",
        b"<script>",
        b"&",
        b" /",
    ],
)
def test_a_hostile_part_costs_little_memory(unit: bytes) -> None:
    html = b"<p " + unit * (200_000 // len(unit))
    tracemalloc.start()
    rewrite_html(html, link=lambda _: NEW, pixel=PIXEL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(html)


# The corpus of the oracle leaves out what a tokenizer alone cannot know: select, svg, math,
# template and frameset, and a script with a comment in it.
blanks = st.sampled_from(["", " ", "\n", "\t ", "/", " / "])
values = st.sampled_from(
    [
        "http://x.example/",
        "https://y.example/?a=1&amp;b=2",
        " http://z.example/a'b ",
        "http://w.example/?a&copy=1&lt;",
        "mailto:a@b.example",
        "#",
        "",
        "http://v.example/>x",
        "http://u.example/a=b",
        "HTTP://t.example",
        "/rel",
        "http://s.example/\u00e9",
    ]
)
names = st.sampled_from(["href", "HREF", "title", "class", "data-href", "=", "'", '"', "a<", "b/"])


@st.composite
def attributes(draw: st.DrawFn) -> str:
    name, value = draw(names), draw(values)
    quote = draw(st.sampled_from(['"', "'", ""]))
    if quote and quote in value:
        quote = '"'
    if not quote:
        value = value.strip().partition(" ")[0]
    equals = draw(st.sampled_from(["=", " = ", "=\n", ""]))
    return draw(st.sampled_from([" ", "\n", " /", "\t"])) + name + equals + quote + value + quote


tag_names = st.sampled_from(
    ["a", "A", "area", "p", "abbr", "img", "td", "table", "/a", "/p", "body", "/body", "b"]
)
tags = st.builds(
    lambda name, given, blank: f"<{name}{''.join(given)}{blank}>",
    tag_names,
    st.lists(attributes(), max_size=4),
    blanks,
)
raw_texts = st.builds(
    lambda name, inner, close: f"<{name}>{inner}{close}",
    st.sampled_from(["style", "title", "textarea", "xmp", "iframe", "noembed", "noframes"]),
    tags,
    st.sampled_from(
        [
            "</style>",
            "</title >",
            "</textarea/>",
            "</XMP>",
            "</iframe>",
            "</noembed>",
            "</noframes>",
            "",
        ]
    ),
)
comments = st.builds(
    lambda start, inner, end: start + inner + end,
    st.sampled_from(
        ["<!--", "<!-->", "<!--->", "<!", "<?", "</ ", "<!-", "<!---", "<![if x]>", "<![CDATA["]
    ),
    tags | st.sampled_from(["", "-", "--", " a - b ", "--!"]),
    st.sampled_from(["-->", "--!>", ">", "--->", "", "- ->", "<![endif]-->"]),
)
texts = st.sampled_from(["x", " < ", "<3", "&amp;", '"', "'", ">", "</", "<", "\n", "\u00e9"])
scripts = st.just("<script>var a = \"<a href='http://n.example/'>\"</script>")
documents = st.lists(tags | raw_texts | comments | texts | scripts, max_size=12).map("".join)


def oracle(html: str) -> set[str]:
    tree = LexborHTMLParser(html)
    hrefs = [node.attributes.get("href") or "" for node in tree.css("a[href], area[href]")]
    controls = "".join(map(chr, range(33)))
    urls = (re.sub(r"[\t\r\n]", "", href.strip(controls)).replace(" ", "%20") for href in hrefs)
    return {url for url in urls if is_trackable(url)}


@settings(max_examples=100, deadline=None)
@given(documents)
def test_the_same_links_are_found_as_by_a_browser_engine(html: str) -> None:
    assert set(found(html.encode())) == oracle(html)


@settings(max_examples=100, deadline=None)
@given(documents)
def test_everything_but_the_values_is_equal_byte_for_byte(html: str) -> None:
    urls: list[str] = []

    def link(url: str) -> str:
        urls.append(url)
        return f"https://t.example/~{len(urls)}~"

    got = rewrite_html(html.encode(), link=link, pixel=PIXEL)
    assert got.links == len(urls)
    plain, pixels = IMAGE.subn(b"", got.html)
    assert pixels == 1
    # The output, with a hole for each value, must fit the input from end to end.
    pieces = re.split(
        r"""("https://t\.example/~\d+~"|'https://t\.example/~\d+~')""", plain.decode()
    )
    holes = {'"': r"""("[^"]*"|[^\s"'>][^\s>]*)""", "'": "('[^']*')"}
    pattern = "".join(
        holes[piece[0]] if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)
    )
    fits = re.fullmatch(pattern, html)
    assert fits
    assert [read(value) for value in fits.groups()] == urls


def read(value: str) -> str:
    """Decode one of the corpus' attribute values."""
    bare = value[1:-1] if value[0] in "'\"" else value
    return entities.unescape(bare.replace("&copy=", "&amp;copy=")).strip()
