"""The DkimKeys port: the fake, and real keys."""

from base64 import b64decode
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from mailroom.adapters.dkim_keys import CryptographyDkimKeys
from mailroom.domain.dns.dkim_record import KeyKind, compare_dkim, dkim_value
from mailroom.fakes.dns import MemoryDkimKeys
from mailroom.ports.dns import DkimKeys


@pytest.fixture(params=[MemoryDkimKeys, CryptographyDkimKeys], ids=["fake", "cryptography"])
def keys(request: pytest.FixtureRequest) -> DkimKeys:
    made: DkimKeys = request.param()
    return made


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_key_that_was_made_can_be_read(keys: DkimKeys, kind: KeyKind) -> None:
    made = keys.generate(kind)
    assert made.kind is kind
    assert made.bits == {KeyKind.RSA: 2048, KeyKind.ED25519: 256}[kind]
    assert keys.inspect(made.private) == made
    assert keys.generate(kind).public != made.public
    assert compare_dkim(dkim_value(kind, made.public), kind, made.public) is None
    assert made.private.hex() not in repr(made)
    assert "private" not in repr(made)


def test_an_ed25519_record_has_the_bare_32_octets(keys: DkimKeys) -> None:
    assert len(b64decode(keys.generate(KeyKind.ED25519).public)) == 32


@pytest.mark.parametrize("bits", [0, 512, 1024, 2047, 8192])
def test_other_sizes_are_not_made(keys: DkimKeys, bits: int) -> None:
    with pytest.raises(ValueError, match="2048, 3072, 4096"):
        keys.generate(KeyKind.RSA, bits)


@pytest.mark.parametrize("junk", [b"", b"junk", b"-----BEGIN junk", b"\xff" * 100])
def test_what_is_no_key_is_refused(keys: DkimKeys, junk: bytes) -> None:
    with pytest.raises(ValueError, match="no private key"):
        keys.inspect(junk)


# What only the adapter can show.

REAL = CryptographyDkimKeys()
PLAIN = NoEncryption()


def test_an_rsa_record_has_the_public_key() -> None:
    made = REAL.generate(KeyKind.RSA)
    public = load_der_public_key(b64decode(made.public))
    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (2048, 65_537)


def written(
    key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    encoding: Encoding = Encoding.PEM,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption = PLAIN,
) -> bytes:
    return key.private_bytes(encoding, form, encryption)


def small() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 1024)


@pytest.mark.parametrize(
    ("make", "bits"),
    [
        (lambda: written(small(), form=PrivateFormat.TraditionalOpenSSL), 1024),  # as Postal has it
        (lambda: b"\r\n " + written(small()).replace(b"\n", b"\r\n") + b" \n", 1024),
        (lambda: written(small(), Encoding.DER), 1024),
        (lambda: written(ed25519.Ed25519PrivateKey.generate()), 256),
    ],
)
def test_keys_people_bring(make: Callable[[], bytes], bits: int) -> None:
    found = REAL.inspect(make())
    assert found.bits == bits
    assert REAL.inspect(found.private) == found


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: written(small(), encryption=BestAvailableEncryption(b"x")), "is encrypted"),
        (lambda: written(rsa.generate_private_key(3, 2048)), "exponent is less than 65537"),
        (lambda: written(ec.generate_private_key(ec.SECP256R1())), "RSA or Ed25519"),
        (lambda: b"\n" * 20_000 + written(small()), "larger than any key"),
        (lambda: written(small())[:-100], "no private key"),
        (
            lambda: x25519.X25519PrivateKey.generate().private_bytes(
                Encoding.DER, PrivateFormat.PKCS8, PLAIN
            ),
            "RSA or Ed25519",
        ),
    ],
)
def test_keys_that_are_refused(make: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        REAL.inspect(make())


def test_a_key_whose_numbers_do_not_fit_is_refused() -> None:
    good = small().private_numbers()
    bad = rsa.RSAPrivateNumbers(
        good.p, good.q, good.d + 2, good.dmp1, good.dmq1, good.iqmp, good.public_numbers
    )
    key = bad.private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(ValueError, match="no private key"):
        REAL.inspect(written(key, Encoding.DER))


def test_a_key_over_4096_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="not 4104"):
        REAL.inspect(written(rsa.generate_private_key(65_537, 4104)))
