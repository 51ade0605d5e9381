"""Signatures as customers of Postal check them, and the key set that names the key."""

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from mailroom.adapters.rsa_signer import RsaSigner
from mailroom.domain.jwks import jwks, key_id, read_public_key

BODY = '{"event":"MessageSent","payload":{"subject":"Grüße"}}\n'.encode()


def der(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def pem(key) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("header", "algorithm"),
    [("X-Postal-Signature", hashes.SHA1()), ("X-Postal-Signature-256", hashes.SHA256())],
)
def test_both_signatures_verify_over_the_exact_body(key, header, algorithm):
    signature = base64.b64decode(RsaSigner(der(key)).headers(BODY)[header], validate=True)
    public = key.public_key()
    public.verify(signature, BODY, padding.PKCS1v15(), algorithm)
    with pytest.raises(InvalidSignature):
        public.verify(signature, BODY + b" ", padding.PKCS1v15(), algorithm)


def test_the_key_id_is_the_digest_of_the_pkcs1_form(key):
    pkcs1 = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    )
    kid = RsaSigner(der(key)).headers(BODY)["X-Postal-Signature-KID"]
    assert kid == hashlib.sha256(pkcs1).hexdigest()


def test_the_key_set_holds_the_key_under_that_id(key):
    (entry,) = jwks([pem(key)])["keys"]
    numbers = key.public_key().public_numbers()
    assert read_public_key(pem(key)) == (numbers.n, numbers.e)
    assert entry["kid"] == RsaSigner(der(key)).kid == key_id(numbers.n, numbers.e)
    assert (entry["kty"], entry["use"], entry["alg"]) == ("RSA", "sig", "RS256")
    padded = entry["n"] + "=" * (-len(entry["n"]) % 4)
    assert int.from_bytes(base64.urlsafe_b64decode(padded)) == numbers.n


def test_another_kind_of_key_is_refused():
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(TypeError):
        RsaSigner(der(other))
    with pytest.raises(ValueError, match="RSA"):
        jwks([pem(other)])


@pytest.mark.parametrize("text", ["", "no", "-----BEGIN PUBLIC KEY-----\nMIIB\n"])
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="key"):
        read_public_key(text)
