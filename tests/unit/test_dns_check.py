"""What the DNS answered against what is expected: a state and a reason for each record."""

import pytest

from mailroom.domain.dns.answers import DnsAnswer, Question
from mailroom.domain.dns.check import judge, judge_alias
from mailroom.domain.dns.dkim_record import KeyKind, compare_dkim
from mailroom.domain.dns.questions import alias_questions, missing_questions
from mailroom.domain.dns.records import (
    PlatformNames,
    PublishedKey,
    Purpose,
    SendingDomain,
    tracking_record,
)
from mailroom.domain.dns.spf import SpfAnswer, SpfResult
from mailroom.domain.dns.state import Check, Report, State
from mailroom.fakes.dns import MemoryDns, MemorySpf

PLATFORM = PlatformNames(
    spf_include="spf.mail.test",
    return_path="rp.mail.test",
    tracking="track.mail.test",
    mx=("mx1.mail.test", "mx2.mail.test"),
)
KEY = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7"
DOMAIN = SendingDomain("example.com", "Secret32", (PublishedKey("s1", KeyKind.RSA, KEY),))
PROOF = "mailroom-verification Secret32"
SPF = "v=spf1 include:spf.mail.test -all"
DKIM = "s1._domainkey.example.com"


def published() -> MemoryDns:
    """A DNS in which all is well."""
    dns = MemoryDns()
    dns.publish("example.com", "TXT", PROOF, SPF, "other=1")
    dns.publish("example.com", "MX", "10 mx1.mail.test", "10 MX2.mail.test")
    dns.publish(DKIM, "TXT", f"v=DKIM1; k=rsa; p={KEY}")
    dns.publish("psrp.example.com", "CNAME", "rp.mail.test")
    dns.publish("_dmarc.example.com", "TXT", "v=DMARC1; p=none")
    dns.publish("rp.mail.test", "MX", "10 mx.mail.test")
    dns.publish("track.mail.test", "A", "198.51.100.7", "198.51.100.8")
    return dns


def checked(
    dns: MemoryDns, domain: SendingDomain = DOMAIN, platform: PlatformNames = PLATFORM
) -> Report:
    answers = {}
    while questions := missing_questions(domain, platform, answers):
        answers |= {question: dns.ask(question) for question in questions}
    spf = MemorySpf(dns).evaluate(domain.name, platform.spf_include, platform.sending_addresses)
    return judge(domain, platform, answers, spf)


def one(report: Report, purpose: str) -> Check:
    return next(check for check in report.checks if check.purpose == purpose)


def states(report: Report) -> dict[str, str]:
    return {check.key: str(check.state) for check in report.checks}


def test_a_domain_with_all_its_records_is_ok() -> None:
    report = checked(published())
    assert set(states(report).values()) == {"ok"}
    assert report.total is State.OK
    assert report.verified
    for check in report.checks:
        assert check.reason.endswith(".")
        assert check.reason.count(".") >= 1


def test_nothing_published_is_missing_and_asked_for_in_few_questions() -> None:
    dns = MemoryDns()
    report = checked(dns)
    assert states(report) == {
        "ownership": "missing",
        "dkim:s1": "missing",
        "spf": "missing",
        "return_path": "missing",
        "mx": "missing",
        "dmarc": "missing",
    }
    assert report.total is State.MISSING
    assert not report.verified
    assert len(set(dns.asked)) == len({q.name for q in dns.asked}) + 1  # TXT and MX of the domain


def test_a_dns_that_does_not_answer_says_nothing() -> None:
    dns = published()
    dns.broken = {"example.com", DKIM, "psrp.example.com", "_dmarc.example.com"}
    report = checked(dns)
    assert set(states(report).values()) == {"unknown"}
    assert report.total is State.UNKNOWN
    assert one(report, "mx").reason == "The DNS gave no usable answer: no answer in time."


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        ([PROOF], "ok"),
        ([f"  {PROOF.replace(' ', '   ')} "], "ok"),
        (["x", PROOF, "mailroom-verification another"], "ok"),
        (["mailroom-verification another"], "invalid"),
        ([PROOF.lower()], "invalid"),  # the token has case
        ([PROOF + "x"], "invalid"),
        (["x" + PROOF], "missing"),
        ([], "missing"),
    ],
)
def test_ownership(texts: list[str], state: str) -> None:
    dns = published()
    dns.publish("example.com", "TXT", *texts)
    assert one(checked(dns), "ownership").state == state
    assert checked(dns).verified is (state == "ok")


@pytest.mark.parametrize(
    ("texts", "state", "reason"),
    [
        ([f"v=DKIM1; k=rsa; p={KEY}"], "ok", "has the key"),
        ([f"v=DKIM1; t=s; h=sha256; p={KEY};"], "ok", "has the key"),
        ([f"p={KEY}"], "ok", "has the key"),
        ([f" v = DKIM1 ;p={KEY[:20]} {KEY[20:]} ; k=rsa ; "], "ok", "has the key"),
        ([f"v=DKIM1; n=note; s=email:tls; h=sha1:sha256; p={KEY}"], "ok", "has the key"),
        ([f"V=DKIM1; K=rsa; P={KEY}"], "ok", "has the key"),
        ([], "missing", "no TXT record at s1._domainkey.example.com"),
        ([f"p={KEY}", f"p={KEY}"], "invalid", "2 TXT records"),
        ([f"v=DKIM1; k=rsa; p={KEY[:-4]}"], "invalid", "cut off"),
        ([f"v=DKIM1; k=rsa; p={KEY[:-1]}"], "invalid", "cut off"),
        ([f"v=DKIM1; k=rsa; p=AAAA{KEY[4:]}"], "invalid", "another key"),
        (["v=DKIM1; k=rsa; p="], "invalid", "revoked"),
        (["v=DKIM1; k=rsa"], "invalid", "no key"),
        ([f"v=DKIM1; k=ed25519; p={KEY}"], "invalid", "k=ed25519"),
        ([f"v=dkim1; p={KEY}"], "invalid", "begin with v=DKIM1"),
        ([f"p={KEY}; v=DKIM1"], "invalid", "begin with v=DKIM1"),
        ([f"v=DKIM1; h=sha1; p={KEY}"], "invalid", "sha256"),
        ([f"v=DKIM1; s=tlsrpt; p={KEY}"], "invalid", "not for e-mail"),
        ([f"v=DKIM1; t=y; p={KEY}"], "invalid", "t=y"),
        ([f"v=DKIM1; p={KEY}; p={KEY}"], "invalid", "comes twice"),
        ([f'"v=DKIM1; p={KEY}"'], "invalid", "not name=value"),
        (["v=DKIM1 p=x"], "invalid", "begin with v=DKIM1"),
        (["junk"], "invalid", "not name=value"),
    ],
)
def test_dkim(texts: list[str], state: str, reason: str) -> None:
    dns = published()
    dns.publish(DKIM, "TXT", *texts)
    check = one(checked(dns), "dkim")
    assert (check.state, check.found) == (state, tuple(texts))
    assert reason in check.reason


def test_a_dkim_record_may_stand_behind_an_alias() -> None:
    dns = published()
    dns.withdraw(DKIM, "TXT")
    dns.publish(DKIM, "CNAME", "s1.keys.mail.test")
    dns.publish("s1.keys.mail.test", "TXT", f"v=DKIM1; p={KEY}")
    assert one(checked(dns), "dkim").state is State.OK


def test_a_record_of_too_many_tags_is_refused_unread() -> None:
    fault = compare_dkim(";".join(f"a{n}=x" for n in range(100)), KeyKind.RSA, KEY)
    assert fault is not None
    assert "too many tags" in fault.reason


def test_a_pending_key_keeps_nothing_from_being_ok() -> None:
    keys = (*DOMAIN.keys, PublishedKey("s2", KeyKind.ED25519, "AAAA", pending=True))
    report = checked(published(), SendingDomain("example.com", "Secret32", keys))
    assert states(report)["dkim:s2"] == "missing"
    assert report.total is State.OK


def test_a_second_key_that_signs_must_be_there() -> None:
    keys = (*DOMAIN.keys, PublishedKey("s2", KeyKind.ED25519, "AAAA"))
    report = checked(published(), SendingDomain("example.com", "Secret32", keys))
    assert report.total is State.MISSING


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (SpfAnswer(SpfResult.SOFTFAIL, reached=True), "ok", "includes the platform's"),
        (SpfAnswer(SpfResult.PASS, reached=False), "ok", "allows the platform's addresses"),
        (SpfAnswer(SpfResult.FAIL), "invalid", "does not reach include:spf.mail.test"),
        (SpfAnswer(SpfResult.NEUTRAL), "invalid", "give neutral"),
        (SpfAnswer(SpfResult.TEMPERROR, problem="late"), "unknown", "now: late"),
        (SpfAnswer(SpfResult.PERMERROR, problem="Too many DNS lookups"), "invalid", "Too many"),
        (SpfAnswer(SpfResult.PERMERROR, reached=True, problem="x"), "invalid", "cannot use"),
    ],
)
def test_spf_is_what_its_evaluation_says(answer: SpfAnswer, state: str, reason: str) -> None:
    dns = published()
    answers = {q: dns.ask(q) for q in missing_questions(DOMAIN, PLATFORM, {})}
    check = one(judge(DOMAIN, PLATFORM, answers, answer), "spf")
    assert check.state == state
    assert reason in check.reason


def test_spf_that_reaches_us_but_refuses_one_address_is_wrong() -> None:
    platform = PlatformNames(spf_include="spf.mail.test", sending_addresses=("198.51.100.9",))
    dns = published()
    answers = {q: dns.ask(q) for q in missing_questions(DOMAIN, platform, {})}
    check = one(judge(DOMAIN, platform, answers, SpfAnswer(SpfResult.FAIL, reached=True)), "spf")
    assert check.state is State.INVALID
    assert "some of the platform's addresses give fail" in check.reason


def test_spf_records_are_counted_before_they_are_evaluated() -> None:
    dns = published()
    dns.publish("example.com", "TXT", PROOF)
    assert one(checked(dns), "spf").state is State.MISSING
    dns.publish("example.com", "TXT", SPF, "V=SPF1", "v=spf10 x")
    check = one(checked(dns), "spf")
    assert (check.state, check.found) == (State.INVALID, (SPF, "V=SPF1"))


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ({"CNAME": ["rp.mail.test"]}, "ok"),
        ({"CNAME": ["RP.Mail.test."]}, "ok"),
        ({"CNAME": ["rp.elsewhere.test"]}, "invalid"),
        ({}, "missing"),
        ({"MX": ["10 mx.mail.test"]}, "ok"),
        ({"MX": ["5 mx.mail.test"], "TXT": ["v=spf1 -all"]}, "ok"),
        ({"MX": ["10 mx.elsewhere.test"]}, "invalid"),
        ({"TXT": ["v=spf1 -all"]}, "missing"),
    ],
)
def test_the_return_path_is_an_alias_or_has_the_records_itself(
    records: dict[str, list[str]], state: str
) -> None:
    dns = published()
    dns.withdraw("psrp.example.com", "CNAME")
    for kind, values in records.items():
        dns.publish("psrp.example.com", kind, *values)
    report = checked(dns)
    assert one(report, "return_path").state == state
    # As in Postal: one that is missing does no harm, one that leads elsewhere loses bounces.
    assert report.total == ("invalid" if state == "invalid" else "ok")


def test_a_stand_in_that_cannot_be_compared_is_unknown() -> None:
    dns = published()
    dns.withdraw("psrp.example.com", "CNAME")
    dns.publish("psrp.example.com", "MX", "10 mx.mail.test")
    dns.broken = {"rp.mail.test"}
    assert one(checked(dns), "return_path").state is State.UNKNOWN


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["10 mx1.mail.test", "20 mx2.mail.test"], "ok"),
        (["1 mx2.mail.test", "1 mx1.mail.test", "30 other.test"], "ok"),
        (["10 mx1.mail.test"], "invalid"),
        (["10 mx.elsewhere.test"], "missing"),
        (["0 ."], "missing"),
        ([], "missing"),
    ],
)
def test_mx_is_all_of_ours_none_or_wrong(values: list[str], state: str) -> None:
    dns = published()
    dns.publish("example.com", "MX", *values)
    report = checked(dns)
    assert one(report, "mx").state == state
    assert report.total == ("invalid" if state == "invalid" else "ok")


DMARC_CASES = [
    ({"_dmarc.example.com": ["v=DMARC1; p=reject"]}, "ok", "reject, the domain's own"),
    ({"_dmarc.example.com": [" v = DMARC1 ; p = None "]}, "ok", "none, the domain's own"),
    ({"_dmarc.example.com": ["v=DMARC1; rua=mailto:a@b.example"]}, "ok", "none"),
    ({"_dmarc.example.com": ["v=DMARC1; p=no"]}, "invalid", "no policy"),
    ({"_dmarc.example.com": ["v=DMARC1"]}, "invalid", "no policy"),
    ({"_dmarc.example.com": ["v=DMARC1; p"]}, "invalid", "cannot be read"),
    ({"_dmarc.example.com": ["v=dmarc1; p=none"]}, "missing", "no DMARC record"),
    ({"_dmarc.example.com": ["v=DMARC1; p=none", "v=DMARC1; p=none"]}, "invalid", "several"),
    ({}, "missing", "no DMARC record"),
]


@pytest.mark.parametrize(("records", "state", "reason"), DMARC_CASES)
def test_dmarc(records: dict[str, list[str]], state: str, reason: str) -> None:
    dns = published()
    dns.withdraw("_dmarc.example.com", "TXT")
    for name, values in records.items():
        dns.publish(name, "TXT", *values)
    report = checked(dns)
    assert one(report, "dmarc").state == state
    assert reason in one(report, "dmarc").reason
    assert report.total is State.OK


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=DMARC1; p=reject; sp=quarantine", "quarantine, inherited from example.com"),
        ("v=DMARC1; p=reject", "reject, inherited from example.com"),
    ],
)
def test_a_sub_domain_has_the_policy_of_its_organisation(record: str, words: str) -> None:
    dns = published()
    dns.publish("_dmarc.example.com", "TXT", record)
    report = checked(dns, SendingDomain("news.eu.example.com", "x", DOMAIN.keys))
    assert words in one(report, "dmarc").reason
    asked = [q.name for q in dns.asked if q.name.startswith("_dmarc")]
    assert asked[:3] == [
        "_dmarc.news.eu.example.com",
        "_dmarc.eu.example.com",
        "_dmarc.example.com",
    ]
    assert "_dmarc.com" not in asked


def test_the_walk_up_a_very_deep_name_is_short() -> None:
    dns = MemoryDns()
    checked(dns, SendingDomain(".".join("abcdefghijklmnop") + ".example", "x"))
    asked = [q.name for q in dns.asked if q.name.startswith("_dmarc")]
    assert len(set(asked)) == 8
    assert asked[-1] == "_dmarc.example"


def test_a_failed_look_up_on_the_way_up_leaves_the_policy_unknown() -> None:
    dns = MemoryDns()
    dns.broken = {"_dmarc.example.com"}
    report = checked(dns, SendingDomain("news.example.com", "x"))
    assert one(report, "dmarc").state is State.UNKNOWN


@pytest.mark.parametrize(
    ("records", "state"),
    [
        ({"CNAME": ["track.mail.test"]}, "ok"),
        ({"CNAME": ["elsewhere.test"]}, "invalid"),
        ({"A": ["198.51.100.8"]}, "ok"),
        ({"A": ["198.51.100.8", "203.0.113.1"]}, "invalid"),
        ({}, "missing"),
    ],
)
def test_a_tracking_domain(records: dict[str, list[str]], state: str) -> None:
    dns = published()
    for kind, values in records.items():
        dns.publish("click.example.com", kind, *values)
    record = tracking_record("click.example.com", PLATFORM)
    answers: dict[Question, DnsAnswer] = {}
    for _ in range(2):
        answers |= {q: dns.ask(q) for q in alias_questions(record, answers)}
    assert judge_alias(record, answers).state == state


def test_what_is_shown_of_an_answer_is_bounded() -> None:
    dns = published()
    dns.publish(DKIM, "TXT", *["x" * 5_000] * 30)
    found = one(checked(dns), "dkim").found
    assert (len(found), len(found[0])) == (10, 1024)


def test_what_was_not_asked_is_unknown() -> None:
    report = judge(DOMAIN, PLATFORM, {}, SpfAnswer(SpfResult.NONE))
    assert {check.state for check in report.checks} == {State.UNKNOWN}
    assert report.state_of(Purpose.TRACKING) is State.UNKNOWN
