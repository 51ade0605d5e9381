"""The DkimKeys port on the cryptography library."""

from base64 import b64encode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from mailroom.domain.dns.dkim_record import KeyKind
from mailroom.ports.dns import KeyMaterial

EXPONENT = 65_537
LEAST_BITS, MOST_BITS = 1024, 4096  # RFC 8301 section 3.2: 1,024 must verify, 4,096 should
SIZES = (2048, 3072, 4096)  # that are made; 1,024 is for import only
MAX_INPUT = 16 * 1024  # octets of an uploaded key
_ED25519_BITS = 256
_Private = RSAPrivateKey | Ed25519PrivateKey


class CryptographyDkimKeys:
    """Makes keys with the operating system's randomness."""

    def generate(self, kind: KeyKind, bits: int = 2048) -> KeyMaterial:
        """See DkimKeys.generate."""
        if kind is KeyKind.ED25519:
            return _material(Ed25519PrivateKey.generate())
        if bits not in SIZES:
            raise ValueError(f"an RSA key is made with {', '.join(map(str, SIZES))} bits")
        return _material(generate_private_key(EXPONENT, bits))

    def inspect(self, private: bytes) -> KeyMaterial:
        """See DkimKeys.inspect. The arithmetic of the key is checked here, once for all."""
        return _material(_checked(_loaded(private)))


def _loaded(private: bytes) -> object:
    if len(private) > MAX_INPUT:
        raise ValueError("the key is larger than any key")
    is_pem = private.lstrip().startswith(b"-----")
    load = load_pem_private_key if is_pem else load_der_private_key
    try:
        return load(private.strip() if is_pem else private, password=None)
    except TypeError:
        raise ValueError("the key is encrypted: remove its password first") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("this is no private key in PEM or DER") from None


def _checked(key: object) -> _Private:
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("a DKIM key is RSA or Ed25519")  # noqa: TRY004  # the caller's value
    if not LEAST_BITS <= key.key_size <= MOST_BITS:
        raise ValueError(f"an RSA key has {LEAST_BITS} to {MOST_BITS} bits, not {key.key_size}")
    if key.public_key().public_numbers().e < EXPONENT:
        raise ValueError(f"the key's exponent is less than {EXPONENT}, which is weak")
    return key


def _material(key: _Private) -> KeyMaterial:
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, Ed25519PrivateKey):
        # RFC 8463 section 4.2: the bare 32 octets, not a SubjectPublicKeyInfo.
        bare = key.public_key().public_bytes_raw()
        return KeyMaterial(KeyKind.ED25519, _ED25519_BITS, b64encode(bare).decode(), private)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return KeyMaterial(KeyKind.RSA, key.key_size, b64encode(public).decode(), private)
