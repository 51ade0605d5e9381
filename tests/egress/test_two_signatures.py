"""Ed25519 beside RSA (RFC 8463): both verify, by the octets that dkimpy hashes."""

import hashlib
import re
from base64 import b64decode, b64encode

import dkim as dkimpy
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from dkim.canonicalization import CanonicalizationPolicy

from egress.signer import Signer, SigningKey

# RFC 8463 appendix A: its key, its message and its signature.
RFC_PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
RFC_MESSAGE = b"""\
DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
""".replace(b"\n", b"\r\n")

RSA = rsa.generate_private_key(65_537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()
RAW = b"From: a@example.com\r\nTo: b@example.org\r\nSubject:  hi  there\r\n\r\nhello \t you\r\n\r\n"


class Octets:
    """What dkimpy hashes, kept instead."""

    def __init__(self) -> None:
        self.data = b""

    def update(self, more: bytes) -> None:
        self.data += more


def signed_octets(raw: bytes, number: int) -> tuple[dict[str, str], bytes]:
    """Return the tags of the signature `number` and the octets it signs, as dkimpy has them."""
    peer = dkimpy.DKIM(raw)
    field = [each for each in peer.headers if each[0].lower() == b"dkim-signature"][number]
    parts = [part.partition("=") for part in field[1].decode().split(";")]
    tags = {name.strip(): re.sub(r"\s+", "", value) for name, _, value in parts}
    policy = CanonicalizationPolicy.from_c_value(tags["c"].encode())
    body = policy.canonicalize_body(peer.body)
    assert tags["bh"] == b64encode(hashlib.sha256(body).digest()).decode()
    octets = Octets()
    names = [name.encode() for name in tags["h"].split(":")]
    headers = policy.canonicalize_headers(peer.headers)
    dkimpy.hash_headers(octets, policy, headers, names, field, tags)
    return tags, octets.data


def verify_ed25519(raw: bytes, number: int, public: bytes) -> dict[str, str]:
    tags, octets = signed_octets(raw, number)
    key = ed25519.Ed25519PublicKey.from_public_bytes(public)
    key.verify(b64decode(tags["b"]), hashlib.sha256(octets).digest())
    return tags


def der(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def twice_signed() -> bytes:
    keys = [
        SigningKey("example.com", "r1", der(RSA)),
        SigningKey("example.com", "e1", der(ED25519)),
    ]
    return Signer(clock=lambda: 1_700_000_000.0).sign(RAW, *keys)


def test_the_verifier_of_this_test_takes_the_signature_of_the_rfc() -> None:
    tags = verify_ed25519(RFC_MESSAGE, 0, b64decode(RFC_PUBLIC))
    assert tags["a"] == "ed25519-sha256"


def test_two_signatures_stand_in_front_rsa_first() -> None:
    raw = twice_signed()
    rsa_tags, rsa_octets = signed_octets(raw, 0)
    assert (rsa_tags["a"], rsa_tags["s"]) == ("rsa-sha256", "r1")
    RSA.public_key().verify(b64decode(rsa_tags["b"]), rsa_octets, PKCS1v15(), SHA256())
    tags = verify_ed25519(raw, 1, ED25519.public_key().public_bytes_raw())
    assert (tags["a"], tags["s"], tags["d"]) == ("ed25519-sha256", "e1", "example.com")
    assert raw.endswith(RAW)
    assert raw.count(b"DKIM-Signature:") == 2


def test_dkimpy_verifies_the_rsa_signature_beside_the_other() -> None:
    public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + b64encode(public)
    assert dkimpy.verify(twice_signed(), dnsfunc=lambda *_, **__: record)


def test_the_rsa_signature_is_the_one_it_would_be_alone() -> None:
    key = SigningKey("example.com", "r1", der(RSA))
    alone = Signer(clock=lambda: 1_700_000_000.0).sign(RAW, key)
    assert twice_signed().startswith(alone[: -len(RAW)])


def test_a_changed_message_verifies_by_neither() -> None:
    raw = twice_signed().replace(b"hi  there", b"ho  there")
    with pytest.raises(InvalidSignature):
        verify_ed25519(raw, 1, ED25519.public_key().public_bytes_raw())
    tags, octets = signed_octets(raw, 0)
    with pytest.raises(InvalidSignature):
        RSA.public_key().verify(b64decode(tags["b"]), octets, PKCS1v15(), SHA256())
