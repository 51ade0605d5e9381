"""The demonstration tenant's secrets, and the local files that follow from them.

The secrets are random, made once for each state folder.
"""

import base64
import secrets
import string
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localstack.certificates import ensure_authority, issue
from localstack.config import (
    FROM_DOMAIN,
    LARGE_API_HOSTNAME,
    LOOPBACK,
    PLATFORM_DOMAIN,
    RETURN_PATH_DOMAIN,
    SMTP_HOSTNAME,
    StackConfig,
    read_json,
    write_json,
)
from localstack.zones import Record, tenant_records, world_zone

ORGANISATION = "demo"
PERMALINK = "main"
SMTP_USER = f"{ORGANISATION}/{PERMALINK}"
BITS = 2048
BASE32 = string.ascii_lowercase + "234567"
LETTERS = string.ascii_letters + string.digits
SYMMETRIC = ("tracking", "verp", "token", "recipients")

Secrets: TypeAlias = dict[str, Any]


def make_secrets(path: Path) -> Secrets:
    """Return the secrets kept in `path`, made on first use. The file is readable by its owner
    alone; keys are base64 of PKCS#8 DER (RSA) or of raw octets.
    """
    kept: Secrets = read_json(path)
    whole = kept or _new_secrets()
    # A folder of an older release lacks the keys that came later.
    missing = [purpose for purpose in SYMMETRIC if purpose not in whole["platform"]]
    whole["platform"] |= {purpose: _new_symmetric(purpose) for purpose in missing}
    added = {"platform_key": _chosen(LETTERS, 32)} if "platform_key" not in whole else {}
    whole |= added
    if missing or added or not kept:
        write_json(path, whole, mode=0o600)
    return whole


def write_local_files(config: StackConfig, kept: Secrets) -> None:
    """Write what the DNS server, the simulator and the submission host read: the zone, the
    public webhook key and the certificates.
    """
    zone = world_zone()
    records = tenant_records(
        FROM_DOMAIN,
        selector=kept["dkim"]["selector"],
        public_key_b64="".join(public_pem(kept["dkim"]["key"]).splitlines()[1:-1]),
        spf_include=f"spf.{PLATFORM_DOMAIN}",
        return_path_target=RETURN_PATH_DOMAIN,
        tracking_target=f"track.{PLATFORM_DOMAIN}",
    )
    write_json(
        config.path("zone.json"),
        {**zone, "records": [*zone["records"], *records, *_platform_records()]},
    )
    webhook_key = public_pem(kept["platform"]["webhook"]["secret"])
    config.path("webhook_public_key.pem").write_text(webhook_key)
    certificates = config.path("certificates")
    ensure_authority(certificates)
    issue(certificates, "submission", ["localhost", LOOPBACK, SMTP_HOSTNAME])
    issue(certificates, "api-large", ["localhost", LOOPBACK, LARGE_API_HOSTNAME])


def public_pem(key: str) -> str:
    """Return the public half of an RSA key kept as base64 of PKCS#8 DER."""
    public = serialization.load_der_private_key(base64.b64decode(key), None).public_key()
    octets = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return octets.decode()


def _new_secrets() -> Secrets:
    return {
        "server": _chosen(BASE32, 10),
        "server_token": _chosen(string.ascii_lowercase, 6),
        "api_key": _chosen(LETTERS, 24),
        "smtp_password": _chosen(LETTERS, 24),
        "dkim": {
            "selector": f"postal-{_chosen(string.ascii_uppercase, 6)}",
            "key": _text(_new_rsa()),
        },
        "platform": {
            **{purpose: _new_symmetric(purpose) for purpose in SYMMETRIC},
            "webhook": {"kid": _chosen(BASE32, 6), "secret": _text(_new_rsa())},
        },
    }


def _new_symmetric(purpose: str) -> dict[str, str]:
    # Return paths have room for a key id of one character only.
    kid = _chosen(BASE32, 1 if purpose == "verp" else 6)
    return {"kid": kid, "secret": _text(secrets.token_bytes(32))}


def _platform_records() -> list[Record]:
    return [
        [f"spf.{PLATFORM_DOMAIN}.", "TXT", "v=spf1 ip4:127.0.0.0/8 ~all"],
        [f"{RETURN_PATH_DOMAIN}.", "MX", f"10 {SMTP_HOSTNAME}."],
        [f"{RETURN_PATH_DOMAIN}.", "TXT", f"v=spf1 include:spf.{PLATFORM_DOMAIN} ~all"],
        [f"{SMTP_HOSTNAME}.", "A", LOOPBACK],
        [f"{LARGE_API_HOSTNAME}.", "A", LOOPBACK],
        [f"track.{PLATFORM_DOMAIN}.", "A", LOOPBACK],
    ]


def _chosen(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _new_rsa() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
