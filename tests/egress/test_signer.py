"""Signatures against dkimpy: the same octets out, and verified by it."""

import re
from base64 import b64encode
from collections.abc import Callable
from functools import cache

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from dkim.canonicalization import CanonicalizationPolicy
from dkim.crypto import HASH_ALGORITHMS, parse_pem_private_key

from egress.signer import Signer, SigningKey, load_key

HEAD = b"From: Ann <ann@example.com>\r\nTo: b@example.org\r\nSubject: hi\r\nDate: now\r\n"
CORPUS = {
    "plain": HEAD + b"Message-ID: <1@example.com>\r\n\r\nhello\r\n",
    "folded": HEAD.replace(b"hi", b"a very\r\n\t long\r\n    subject\t ") + b"\r\nx\r\n",
    "empty body": HEAD + b"\r\n",
    "no blank line": HEAD,
    "only blank lines": HEAD + b"\r\n\r\n\r\n\r\n",
    "trailing blank lines": HEAD + b"\r\na\r\n\r\n \r\n\t\r\n\r\n",
    "tabs": HEAD + b"\r\n\ta\t\tb \t c\t\r\n\t\r\nd\t\r\n",
    "8-bit": HEAD + b"\r\n\xff\xfe caf\xc3\xa9 \xa0\r\n",
    "8-bit header": HEAD.replace(b"hi", b"caf\xc3\xa9") + b"\r\nx\r\n",
    "no final CRLF": HEAD + b"\r\nlast line",
    "repeated": b"Cc: 1\r\n"
    + HEAD
    + b"Cc: 2\r\nReferences: a\r\nReferences: b\r\nCc: 3\r\n\r\nx\r\n",
    "two From": HEAD + b"From: eve@example.net\r\n\r\nx\r\n",
    "lists": HEAD + b"List-Unsubscribe: <https://a.example/u>\r\nList-Unsubscribe-Post: List-"
    b"Unsubscribe=One-Click\r\nList-Id: <l.example.com>\r\nFeedback-ID: a:b:c:d\r\n\r\nx\r\n",
    "mime": HEAD + b"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n.dot\r\n..\r\n",
    "large": HEAD + b"\r\n" + b"The quick brown fox  jumps\tover the lazy dog. \r\n" * 2000,
}


@cache
def pair() -> tuple[bytes, bytes, bytes]:
    """Return one RSA key as PKCS#8 DER, as PKCS#1 PEM, and its DNS record."""
    key = rsa.generate_private_key(65537, 2048)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der, pem, b"v=DKIM1; k=rsa; p=" + b64encode(public)


def signed(raw: bytes) -> bytes:
    signer = Signer(clock=lambda: 1_700_000_000.9)
    return signer.sign(raw, SigningKey("example.com", "postal-abc", pair()[0]))


def verified(raw: bytes) -> bool:
    def record(name: bytes | str, timeout: float = 5) -> bytes | None:
        wanted = name.decode() if isinstance(name, bytes) else name
        return pair()[2] if wanted == "postal-abc._domainkey.example.com." else None

    answer: bool = dkimpy.verify(raw, dnsfunc=record)
    return answer


def tags(header: bytes) -> list[tuple[bytes, bytes]]:
    """Return the tags of our field as dkimpy's signer would be given them."""
    flat = re.sub(rb"\r\n\s+", b" ", header.partition(b":")[2])
    pairs = [part.strip().partition(b"=")[::2] for part in flat.split(b";")]
    return [(name, value) for name, value in pairs]


@pytest.mark.parametrize("raw", CORPUS.values(), ids=CORPUS)
def test_the_signature_is_dkimpys_to_the_octet(raw: bytes) -> None:
    ours = dict(tags(signed(raw)[: -len(raw)]))
    fields = [(name, value) for name, value in tags(signed(raw)[: -len(raw)]) if name != b"b"]
    peer = dkimpy.DKIM(raw)
    peer.hasher = HASH_ALGORITHMS[b"rsa-sha256"]
    policy = CanonicalizationPolicy.from_c_value(b"relaxed/relaxed")
    names = tuple(name.strip() for name in ours[b"h"].split(b":"))
    field = peer.gen_header(
        [*fields, (b"b", b"0" * 60)],
        names,
        policy,
        b"DKIM-Signature",
        parse_pem_private_key(pair()[1]),
    )
    theirs = dict(tags(b":" + field))
    assert re.sub(rb"\s", b"", ours[b"b"]) == re.sub(rb"\s", b"", theirs[b"b"])
    body = policy.canonicalize_body(peer.body)
    assert ours[b"bh"] == b64encode(HASH_ALGORITHMS[b"rsa-sha256"](body).digest())


@pytest.mark.parametrize("raw", CORPUS.values(), ids=CORPUS)
def test_dkimpy_verifies_what_we_sign(raw: bytes) -> None:
    assert verified(signed(raw))


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "body": lambda raw: raw.replace(b"hello", b"hullo"),
    "more body": lambda raw: raw + b"more\r\n",
    "subject": lambda raw: raw.replace(b"Subject: hi", b"Subject: ho"),
    "a second From": lambda raw: raw.replace(b"\r\nTo:", b"\r\nFrom: eve@example.net\r\nTo:"),
    "a From in front": lambda raw: b"From: eve@example.net\r\n" + raw,
    "a second Subject": lambda raw: b"Subject: buy\r\n" + raw,
    "a Reply-To": lambda raw: b"Reply-To: eve@example.net\r\n" + raw,
    "a Cc": lambda raw: raw.replace(b"\r\nTo:", b"\r\nCc: eve@example.net\r\nTo:"),
    "an unsubscribe link": lambda raw: b"List-Unsubscribe: <https://eve.example>\r\n" + raw,
    "a content type": lambda raw: b"Content-Type: text/html\r\n" + raw,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_does_not_verify(change: Callable[[bytes], bytes]) -> None:
    raw = signed(CORPUS["plain"])
    assert change(raw) != raw
    assert not verified(change(raw))


def test_what_relays_may_do_leaves_it_valid() -> None:
    raw = signed(CORPUS["plain"])
    assert verified(b"Received: from a by b; now\r\n" + raw + b"\r\n\r\n")


def test_space_at_an_unfinished_end_is_hashed_as_the_receiver_sees_it() -> None:
    # SMTP adds the missing CRLF on the wire, and the space before it then does not count.
    assert verified(signed(HEAD + b"\r\nlast line ") + b"\r\n")


def test_pem_and_der_are_the_same_key() -> None:
    der, pem, _ = pair()
    one, other = load_key(der), load_key(pem)
    assert isinstance(one, rsa.RSAPrivateKey)
    assert isinstance(other, rsa.RSAPrivateKey)
    assert one.private_numbers() == other.private_numbers()


def test_a_key_is_parsed_once() -> None:
    signer = Signer(clock=lambda: 0.0)
    key = SigningKey("example.com", "s", pair()[0])
    for _ in range(3):
        signer.sign(CORPUS["plain"], key)
    assert signer._key.cache_info().misses == 1


def neither_rsa_nor_ed25519() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def locked() -> bytes:
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


@pytest.mark.parametrize(
    "make", [neither_rsa_nor_ed25519, locked, lambda: b"junk", lambda: b"-----BEGIN junk", bytes]
)
def test_what_is_no_key_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_key(make())


def test_the_key_stays_out_of_reprs() -> None:
    assert "private_key" not in repr(SigningKey("example.com", "s", b"secret"))
