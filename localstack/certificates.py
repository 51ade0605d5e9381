"""A certificate authority for one machine, and host certificates signed by it.

For the local stack only: the authority's key lies unencrypted beside its certificate.
"""

import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST_LIFETIME = timedelta(days=825)  # the longest that current TLS clients accept
AUTHORITY_LIFETIME = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(days=1)  # a client whose clock runs late must not refuse us


@dataclass(frozen=True, slots=True)
class CaPaths:
    """Where the authority's certificate (give this to clients) and its key lie, both PEM."""

    certificate: Path
    key: Path


def ensure_authority(folder: Path, *, now: datetime | None = None) -> CaPaths:
    """Return the authority kept in `folder`, made on first use and when it is about to expire.

    Safe to call from several processes at once. `now` is aware, the wall clock when left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        return _authority(folder, now or datetime.now(UTC))


def issue(
    folder: Path, name: str, sans: Sequence[str], *, now: datetime | None = None
) -> tuple[Path, Path]:
    """Return (certificate, key) PEM paths for a host called `name`, valid for all of `sans`.

    `sans` are DNS names and IP addresses, at least one. An earlier certificate is kept while it
    names exactly these, was signed by the present authority and has 30 days left.
    Raises ValueError for a `name` that is no plain file name or for no `sans`.
    """
    if not sans or not name or name in {".", "..", "ca"} or "/" in name or "\0" in name:
        raise ValueError("a host certificate needs a plain name and at least one address")
    moment = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        authority = _authority(folder, moment)
        paths = (folder / f"{name}.pem", folder / f"{name}.key")
        signer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
        if not _is_current(paths, moment, signer, _alternative_names(sans)):
            _issue(authority, signer, paths, sans, moment)
        return paths


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # Two servers started together would otherwise each make an authority, and one be refused.
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _authority(folder: Path, now: datetime) -> CaPaths:
    paths = CaPaths(folder / "ca.pem", folder / "ca.key")
    if _is_current((paths.certificate, paths.key), now, None, None):
        return paths
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mailroom local authority")])
    usage = {"key_cert_sign": True, "crl_sign": True, "digital_signature": False}
    certificate = (
        _builder(subject, subject, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(**usage), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_pair((paths.certificate, paths.key), certificate, key)
    return paths


def _issue(
    authority: CaPaths,
    signer: x509.Certificate,
    paths: tuple[Path, Path],
    sans: Sequence[str],
    now: datetime,
) -> None:
    signing_key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the local authority's key is not the kind this program makes")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, sans[0][:64])])
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    certificate = (
        _builder(subject, signer.subject, key, now, HOST_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_alternative_names(sans), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    _write_pair(paths, certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now - BACKDATE + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(
    *, digital_signature: bool, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(sans: Sequence[str]) -> x509.SubjectAlternativeName:
    def one(text: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(text))
        except ValueError:
            return x509.DNSName(text)

    return x509.SubjectAlternativeName([one(text) for text in sans])


def _is_current(
    paths: tuple[Path, Path],
    now: datetime,
    signer: x509.Certificate | None,
    names: x509.SubjectAlternativeName | None,
) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(paths[0].read_bytes())
        key = serialization.load_pem_private_key(paths[1].read_bytes(), None)
        if signer is not None:
            certificate.verify_directly_issued_by(signer)
        found = certificate.extensions
        if names and found.get_extension_for_class(x509.SubjectAlternativeName).value != names:
            return False
    except (OSError, ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    started = certificate.not_valid_before_utc <= now
    lasts = now + RENEW_BEFORE < certificate.not_valid_after_utc
    return started and lasts and key.public_key() == certificate.public_key()


def _write_pair(
    paths: tuple[Path, Path], certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    pem_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # Key first: a crash in between leaves a pair that does not match and is made anew.
    _replace(paths[1], pem_key, mode=0o600)
    _replace(paths[0], certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
