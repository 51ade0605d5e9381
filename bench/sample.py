"""The message every benchmark sends: 10 KB, text and HTML, ten links, quoted-printable."""

import quopri
from email.utils import formatdate

from mailroom.domain.headers import to_crlf

LINKS = 10


def message(author: str = "bench@demo.mailroom.test", number: int = 0) -> bytes:
    """Return the raw message, about 10 KB, CRLF, with `number` in its subject."""
    links = "\n".join(
        f'<p>Offer {n}: <a href="https://shop.example/item/{n}?ref=mail&amp;c={n}">see it</a> '
        f"{'and read why people like it so much that they come again; ' * 12}</p>"
        for n in range(LINKS)
    )
    html = f"<html><body><h1>Hello</h1>{links}</body></html>\n"
    text = "Hello,\n" + "\n".join(f"see https://shop.example/item/{n}" for n in range(LINKS)) + "\n"
    head = (
        f"From: Bench <{author}>\nTo: someone@sim.test\nSubject: Benchmark {number}\n"
        f"Message-ID: <bench-{number}@demo.mailroom.test>\nDate: {formatdate(0)}\n"
        'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="=_b"\n\n'
    )
    parts = (
        "--=_b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\n"
        f"{text}\n--=_b\nContent-Type: text/html; charset=utf-8\n"
        "Content-Transfer-Encoding: quoted-printable\n\n"
    )
    return to_crlf(
        head.encode() + parts.encode() + quopri.encodestring(html.encode()) + b"\n--=_b--\n"
    )
