"""Whatever domains publish about transport security: read or refused, never a crash."""

import gzip
import json
from email import message_from_bytes, policy

from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.mx import MxTarget
from egress.core.tls_policy import Allowed, HostPolicy, TlsTrouble, apply
from mailroom.domain.outcome import Verdict, classify_reply
from mailroom.domain.transport.sts import StsError, StsMode, parse_sts_policy, parse_sts_record
from mailroom.domain.transport.tls_counts import DomainCounts, PolicyCounts
from mailroom.domain.transport.tls_report import Submitter, build_report, report_mail
from mailroom.domain.transport.tls_report_record import parse_report_record
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult

LINES = [
    b"version: STSv1",
    b"mode: enforce",
    b"mode: testing",
    b"mx: *.example.org",
    b"mx: mx.test",
    b"mx:*",
    b"max_age: 86400",
    b"max_age: 99999999999",
    b"\r",
    b": :",
    b"x" * 100,
]
policies = st.lists(st.sampled_from(LINES) | st.binary(max_size=20), max_size=9).map(b"\n".join)
PIECES = ["v=STSv1", "v=TLSRPTv1", "id=", "1", ";", " ", "rua=", "mailto:a@b.test", "https://", ","]
records = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=12).map("".join)
hosts = st.sampled_from(["mx.example.org", "a.b.example.org", "example.org", "mx.test", "", "."])


@given(policies, st.lists(hosts, max_size=4))
@settings(max_examples=300)
def test_a_policy_only_ever_leaves_hosts_it_names(octets: bytes, names: list[str]) -> None:
    try:
        found = parse_sts_policy(octets)
    except StsError:
        return
    targets = [MxTarget(name, "203.0.114.1") for name in names]
    allowed = apply(HostPolicy("example.org", found), targets)
    if isinstance(allowed, TlsTrouble):
        assert found.mode is StsMode.ENFORCE
        assert classify_reply(allowed).verdict is Verdict.DEFERRED
        assert not any(found.covers(name) for name in names)
    elif found.mode is StsMode.ENFORCE:
        assert allowed.verified
        assert all(found.covers(each.host) for each in allowed.targets)
    else:
        assert allowed == Allowed(tuple(targets), uncovered=allowed.uncovered)


@given(st.lists(records, max_size=3))
@settings(max_examples=300)
def test_records_are_read_or_not(texts: list[str]) -> None:
    assert parse_sts_record(texts) is None or len(texts) > 0
    for destination in parse_report_record(texts):
        assert destination.isprintable()
        assert "\n" not in destination


words = st.text(max_size=30)


@given(words, st.lists(words, max_size=3).map(tuple), words, st.integers(0, 10**9))
@settings(max_examples=100)
def test_any_counts_become_a_report_that_can_be_read(
    kind: str, lines: tuple[str, ...], mx: str, number: int
) -> None:
    failing = Failing(TlsResult.VALIDATION_FAILURE, mx)
    counted = PolicyCounts(AppliedPolicy(kind, lines, lines), number, {failing: number})
    us = Submitter("Our Post", "mail.test", "tls@mail.test", "no-reply@mail.test")
    report = build_report(DomainCounts("a.test", (), (counted,)), "2027-01-15", us)
    raw = report_mail(report, "tls@a.test", us, 1_800_000_000.0)
    (attached,) = list(message_from_bytes(raw, policy=policy.default).iter_attachments())
    content = attached.get_payload(decode=True)
    assert isinstance(content, bytes)
    told = json.loads(gzip.decompress(content))
    assert told["policies"][0]["summary"]["total-successful-session-count"] == number
