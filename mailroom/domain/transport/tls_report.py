"""TLS reports: the JSON that tells a domain how its day went, and the mail that carries it.

RFC 8460 sections 4 and 5. Nothing of a message is in it: host names, addresses of mail hosts and
counts.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from mailroom.domain.address import parse_address, parse_mailbox
from mailroom.domain.header_encoding import mailbox_field, text_field
from mailroom.domain.transport.tls_counts import DomainCounts, PolicyCounts

MAX_DETAILS = 500  # of a policy, the most frequent ones
MEDIA = "application/tlsrpt+gzip"


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who reports: the name of the organisation, its domain, and an address for questions.

    `sender` is the From of the mail, an address or `Name <address>`.
    """

    organisation: str
    domain: str
    contact: str
    sender: str


@dataclass(frozen=True, slots=True)
class TlsReport:
    """A report ready to be sent; `content` is JSON in gzip, `id` is the same at every try."""

    domain: str
    id: str
    file_name: str
    content: bytes


def build_report(counts: DomainCounts, day: str, submitter: Submitter) -> TlsReport:
    """Return the report of `day` (`2026-11-28`, UTC). Raises ValueError for another kind of day."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    end = begin + timedelta(days=1) - timedelta(seconds=1)
    id_ = f"{day}_{counts.domain}@{submitter.domain}"
    content = {
        "organization-name": submitter.organisation,
        "date-range": {"start-datetime": _iso(begin), "end-datetime": _iso(end)},
        "contact-info": submitter.contact,
        "report-id": id_,
        "policies": [_policy(each, counts.domain) for each in counts.policies],
    }
    span = f"{begin.timestamp():.0f}!{end.timestamp():.0f}"
    return TlsReport(
        domain=counts.domain,
        id=id_,
        file_name=f"{submitter.domain}!{counts.domain}!{span}.json.gz",
        content=gzip.compress(json.dumps(content).encode(), mtime=0),
    )


def _policy(counts: PolicyCounts, domain: str) -> dict[str, Any]:
    failures = sorted(counts.failed.items(), key=lambda each: (-each[1], each[0]))
    policy: dict[str, Any] = {"policy-type": counts.policy.kind, "policy-domain": domain}
    if counts.policy.lines:
        policy["policy-string"] = list(counts.policy.lines)
    if counts.policy.hosts:
        policy["mx-host"] = list(counts.policy.hosts)
    found: dict[str, Any] = {
        "policy": policy,
        "summary": {
            "total-successful-session-count": counts.succeeded,
            "total-failure-session-count": sum(counts.failed.values()),
        },
    }
    if failures:
        found["failure-details"] = [
            _without_empty(
                {
                    "result-type": str(failing.result),
                    "sending-mta-ip": failing.source_address,
                    "receiving-mx-hostname": failing.mx,
                    "receiving-ip": failing.mx_address,
                    "failed-session-count": number,
                }
            )
            for failing, number in failures[:MAX_DETAILS]
        ]
    return found


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != ""}


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def report_mail(report: TlsReport, to: str, submitter: Submitter, now: float) -> bytes:
    """Return the mail that carries `report` to the address `to` (RFC 8460 section 5.3).

    Its lines end in CRLF, and all is seven bits. Raises ValueError for a sender or recipient that
    is no address.
    """
    boundary = f"=_tlsrpt_{report.id.partition('_')[0]}"
    lines = b"\r\n".join(_parts(report, submitter, boundary))
    return b"".join(_header(report, to, submitter, now, boundary)) + b"\r\n" + lines


def _header(
    report: TlsReport, to: str, submitter: Submitter, now: float, boundary: str
) -> Iterator[bytes]:
    subject = f"Report Domain: {report.domain} Submitter: {submitter.domain} "
    yield mailbox_field("From", [parse_mailbox(submitter.sender)])
    yield mailbox_field("To", [("", parse_address(to))])
    yield text_field("Subject", f"{subject}Report-ID: <{report.id}>")
    yield text_field("Date", format_datetime(datetime.fromtimestamp(int(now), UTC)))
    yield text_field("Message-ID", f"<tlsrpt.{report.id}>")
    yield text_field("TLS-Report-Domain", report.domain)
    yield text_field("TLS-Report-Submitter", submitter.domain)
    yield text_field("Auto-Submitted", "auto-generated")
    yield text_field("MIME-Version", "1.0")
    kind = f'multipart/report; report-type="tlsrpt"; boundary="{boundary}"'
    yield text_field("Content-Type", kind)


def _parts(report: TlsReport, submitter: Submitter, boundary: str) -> Iterator[bytes]:
    mark = f"--{boundary}".encode()
    yield mark
    yield b"Content-Type: text/plain; charset=us-ascii"
    yield b""
    yield f"This is an aggregate TLS report (RFC 8460) about mail to {report.domain},".encode()
    yield f"from {submitter.domain}. Questions go to {submitter.contact}.".encode()
    yield mark
    yield f"Content-Type: {MEDIA}".encode()
    yield b"Content-Transfer-Encoding: base64"
    yield b"Content-Disposition: attachment;"
    yield f' filename="{report.file_name}"'.encode()
    yield b""
    yield base64.encodebytes(report.content).rstrip().replace(b"\n", b"\r\n")
    yield mark + b"--"
    yield b""
