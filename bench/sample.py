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


def message(author: str = "bench@demo.mailroom.test", number: int = 0) -> bytes:
    """Return the raw message, about 10 KB, CRLF, with `number` in its subject."""
    head = (
        f"From: Bench <{author}>\nTo: someone@sim.test\nSubject: Benchmark {number}\n"
        f"Message-ID: <bench-{number}@demo.mailroom.test>\nDate: {formatdate(0)}\n"
        'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="=_b"\n\n'
    )
    return to_crlf(head.encode()) + _body()


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
