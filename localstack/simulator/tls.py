"""The certificates simulated hosts show: good ones, and each kind of bad one."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localstack.certificates import ensure_authority, issue
from localstack.simulator.profiles import Certificate

OTHER_HOST = "another-host.invalid"


def contexts(folder: Path, names: Sequence[str]) -> Mapping[Certificate, ssl.SSLContext]:
    """Return a server context for each kind of certificate, for hosts called `names`.

    `folder` is the local authority's; what is made lies there too. Raises OSError.
    """
    good = issue(folder, "mx", names)
    other = issue(folder, "mx-wrong-name", [OTHER_HOST])
    return {
        Certificate.GOOD: _context(*good),
        Certificate.WRONG_NAME: _context(*other),
        Certificate.EXPIRED: _context(*_spoilt(folder, Certificate.EXPIRED, names)),
        Certificate.SELF_SIGNED: _context(*_spoilt(folder, Certificate.SELF_SIGNED, names)),
    }


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _spoilt(folder: Path, kind: Certificate, names: Sequence[str]) -> tuple[Path, Path]:
    """Write a certificate that is right but for one thing: its time or its signer."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    signing_key, ends = key, now + timedelta(days=90)
    if kind is Certificate.EXPIRED:
        issuer, signing_key = _signer(folder)
        ends = now - timedelta(days=1)
    sans = x509.SubjectAlternativeName(
        [x509.DNSName(each) for each in names if each[-1].isalpha() and ":" not in each]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(ends)
        .add_extension(sans, critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    paths = folder / f"mx-{kind}.pem", folder / f"mx-{kind}.key"
    paths[1].touch(mode=0o600)
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return paths


def _signer(folder: Path) -> tuple[x509.Name, ec.EllipticCurvePrivateKey]:
    authority = ensure_authority(folder)
    certificate = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the local authority's key is not the kind this program makes")
    return certificate.subject, key
