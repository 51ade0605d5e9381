"""How attempts at TLS ended, counted the way domains are told about it (RFC 8460 section 4.3)."""

from enum import StrEnum
from typing import NamedTuple


class TlsResult(StrEnum):
    """Why a session was not protected as it should have been. Values are reported and stored."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"  # anything else
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"  # the policy's own web server has a bad certificate


class AppliedPolicy(NamedTuple):
    """The policy that a session was held to; `lines` is empty where there was none."""

    kind: str = "no-policy-found"
    lines: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Failing(NamedTuple):
    """What failed with whom; "" for what is not known."""

    result: TlsResult
    mx: str = ""
    mx_address: str = ""
    source_address: str = ""
