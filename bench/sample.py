"""The message every benchmark sends: 10 KB, text and HTML, ten links, quoted-printable.

Its words are drawn by chance (always the same), so that it compresses as a shop's letter does and
not to nothing: what compresses to 3 KB costs other write units than what does not.
"""

import quopri
import random
from email.utils import formatdate
from functools import cache

from mailroom.domain.headers import to_crlf

LINKS = 10
SAMPLE = 0  # in the place of octets: `message()`, with its HTML
_VOCABULARY = """
about after again autumn basket before better blanket bottle bright brown button candle careful
carpet ceramic chair charcoal choose clever coffee colour comfort copper corner cotton crafted
cushion deliver denim design drawer durable early easily edition elegant embroidered enamel
evening every fabric feather finish flannel flower fold forest frame fresh garden gentle glass
golden grain green handle harvest hazel heavy hidden honest island jacket jumper kettle kitchen
lantern large leather lemon lighter linen little lovely marble market meadow mirror modern
morning mountain narrow natural needle new oak oiled olive only orange order organic oven
painted paper pattern pepper pillow plain plate pocket polished porcelain quality quiet quilt
raincoat rare ribbon river rustic saddle salted season seldom shelf silver simple slate slow
small smoked soft spoon spring stitched stone storm summer sweater table tailored teapot thick
thread timber together towel travel velvet vintage walnut warm washed waxed weather weekend
window winter without wooden woollen woven yarn yellow
"""
_WORDS = _VOCABULARY.split()
_WORDS_A_LINK = 83
_SMALLEST = 1_200
_LINE = 76


def message(author: str = "bench@demo.mailroom.test", number: int = 0) -> bytes:
    """Return the raw message, about 10 KB, CRLF, with `number` in its subject."""
    head = (
        f"From: Bench <{author}>\nTo: someone@sim.test\nSubject: Benchmark {number}\n"
        f"Message-ID: <bench-{number}@demo.mailroom.test>\nDate: {formatdate(0)}\n"
        'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="=_b"\n\n'
    )
    return to_crlf(head.encode()) + _body()


def raw_of(octets: int) -> bytes:
    """Return a message of `octets`, or for SAMPLE the sample."""
    return message() if octets == SAMPLE else sized(octets)


@cache
def sized(octets: int, author: str = "bench@demo.mailroom.test") -> bytes:
    """Return a raw plain-text message of exactly `octets`, CRLF, with ten links in it.

    Raises ValueError below 1,200 octets: the header and the links need them.
    """
    head = (
        f"From: Bench <{author}>\nTo: someone@sim.test\nSubject: Benchmark\n"
        f"Message-ID: <bench-{octets}@demo.mailroom.test>\nDate: {formatdate(0)}\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n"
        "Content-Transfer-Encoding: 7bit\n\n"
    )
    links = "".join(f"see https://shop.example/item/{n}?ref=mail\n" for n in range(LINKS))
    start = to_crlf((head + links).encode())
    left = octets - len(start) - 2
    if octets < _SMALLEST or left < 0:
        raise ValueError(f"{octets} octets are too few for a message with {LINKS} links")
    return start + _filling(left) + b"\r\n"


def _filling(octets: int) -> bytes:
    """Return words in lines of at most 78 octets, `octets` of them with the CRLF between."""
    chance, lines, line = random.Random(2), bytearray(), ""
    while len(lines) < octets:
        word = chance.choice(_WORDS)
        if len(line) + len(word) > _LINE:
            lines += f"{line}\r\n".encode()
            line = ""
        line += f"{word} "
    filling = bytes(lines[:octets])
    return filling[:-1] + b"." if filling.endswith(b"\r") else filling


@cache
def _body() -> bytes:
    chance = random.Random(1)
    links = "\n".join(
        f'<tr><td style="padding:0 0 16px;font-family:sans-serif">Offer {n}: '
        f'<a style="color:#205080" href="https://shop.example/item/{chance.getrandbits(40):x}'
        f'?ref=mail&amp;c={n}">see it</a> {" ".join(chance.choices(_WORDS, k=_WORDS_A_LINK))}.'
        "</td></tr>"
        for n in range(LINKS)
    )
    html = f"<html><body><h1>Hello</h1><table>{links}</table></body></html>\n"
    text = "Hello,\n" + "\n".join(f"see https://shop.example/item/{n}" for n in range(LINKS)) + "\n"
    parts = (
        "--=_b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n"
        f"{text}\n--=_b\nContent-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
    )
    return to_crlf(parts.encode() + quopri.encodestring(html.encode()) + b"\n--=_b--\n")
