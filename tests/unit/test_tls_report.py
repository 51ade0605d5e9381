"""TLS reports: who wants them, what they say, and how they are sent once."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_counts import DomainCounts, PolicyCounts, dump_counts
from mailroom.domain.transport.tls_report import Submitter, build_report, report_mail
from mailroom.domain.transport.tls_report_record import parse_report_record
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult
from mailroom.fakes.control import MemoryControl
from mailroom.ports import Answer
from mailroom.ports.app_mail import AppMailError, RawLetter
from mailroom.usecases.tls_reports import PAUSE, ROUNDS, TlsReportPorts, send_reports

US = Submitter("Our Post", "mail.test", "tls@mail.test", "Reports <no-reply@mail.test>")
STS = AppliedPolicy("sts", ("version: STSv1", "mode: testing"), ("*.a.test",))
EXPIRED = Failing(TlsResult.CERTIFICATE_EXPIRED, "mx.a.test", "203.0.114.1", "203.0.113.9")
DAY, NOW = "2027-01-15", 1_800_064_800.0  # 2027-01-16 02:00 UTC


@pytest.mark.parametrize(
    ("texts", "destinations"),
    [
        (["v=TLSRPTv1; rua=mailto:tls@a.test"], ("mailto:tls@a.test",)),
        (
            ["v=spf1 -all", "v=TLSRPTv1;rua=mailto:A%40b@a.test?subject=x , https://a.test/r;"],
            ("https://a.test/r",),
        ),
        (["v=TLSRPTv1; x=y; rua=MAILTO:t@a.test,mailto:t@a.test"], ("mailto:t@a.test",)),
        (["v=TLSRPTv1; rua=http://a.test/,https://127.1/,ftp://a.test/,mailto:x"], ()),
        (["v=TLSRPTv1; rua=https://ann:pw@a.test/,https://a.test:25/"], ()),
        (["v=TLSRPTv1; rua=mailto:a%0d%0abcc:b@a.test"], ()),
        (["v=TLSRPTv1; rua=" + ",".join(f"mailto:{n}@a.test" for n in range(9))], 4),
        (["v=TLSRPTv1; rua=mailto:tls@a.test"] * 2, ()),
        (["v=TLSRPTv1; rua=mailto:tls@a.test;" + "x" * 2_048], ()),
        (["v=TLSRPTv10; rua=mailto:tls@a.test", "v=TLSRPTv1"], ()),
        (["v=TLSRPTv1; ruf=mailto:tls@a.test"], ()),
        ([], ()),
    ],
)
def test_a_record_names_where_reports_go(
    texts: Sequence[str], destinations: tuple[str, ...] | int
) -> None:
    found = parse_report_record(texts)
    assert (len(found) if isinstance(destinations, int) else found) == destinations


@given(st.text("v=TLSRPT1; rua:mailto@.,https/%0", max_size=60) | st.text(max_size=60))
def test_whatever_is_read_as_a_destination_can_be_used(text: str) -> None:
    for found in parse_report_record([f"v=TLSRPTv1; rua={text}"]):
        assert found.isprintable()
        assert found.startswith(("mailto:", "https:")) or found[:6].lower() == "https:"


def counts(domain: str = "a.test", *destinations: str, succeeded: int = 5) -> DomainCounts:
    return DomainCounts(
        domain,
        destinations or (f"mailto:tls@{domain}",),
        (PolicyCounts(STS, succeeded, {EXPIRED: 2, Failing(TlsResult.STS_POLICY_INVALID): 7}),),
    )


def test_a_report_says_what_was_counted() -> None:
    report = build_report(counts(), DAY, US)
    assert json.loads(gzip.decompress(report.content)) == {
        "organization-name": "Our Post",
        "date-range": {
            "start-datetime": "2027-01-15T00:00:00Z",
            "end-datetime": "2027-01-15T23:59:59Z",
        },
        "contact-info": "tls@mail.test",
        "report-id": "2027-01-15_a.test@mail.test",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-domain": "a.test",
                    "policy-string": ["version: STSv1", "mode: testing"],
                    "mx-host": ["*.a.test"],
                },
                "summary": {
                    "total-successful-session-count": 5,
                    "total-failure-session-count": 9,
                },
                "failure-details": [
                    {"result-type": "sts-policy-invalid", "failed-session-count": 7},
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "203.0.113.9",
                        "receiving-mx-hostname": "mx.a.test",
                        "receiving-ip": "203.0.114.1",
                        "failed-session-count": 2,
                    },
                ],
            }
        ],
    }
    assert report.file_name == "mail.test!a.test!1799971200!1800057599.json.gz"


def test_the_same_counts_make_the_same_report() -> None:
    assert build_report(counts(), DAY, US) == build_report(counts(), DAY, US)


def test_a_report_travels_as_a_mail_of_its_own_kind() -> None:
    report = build_report(counts("a" * 60 + ".test"), DAY, US)
    raw = report_mail(report, "tls@a.test", US, NOW)
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    found = message_from_bytes(raw, policy=policy.default)
    assert found["From"] == US.sender
    assert found["To"] == "tls@a.test"
    assert found["TLS-Report-Domain"] == report.domain
    assert found["TLS-Report-Submitter"] == "mail.test"
    assert found["Subject"] == (
        f"Report Domain: {report.domain} Submitter: mail.test Report-ID: <{report.id}>"
    )
    assert found["Date"].datetime.timestamp() == NOW
    assert found.get_content_type() == "multipart/report"
    assert found.get_param("report-type") == "tlsrpt"
    text, attached = found.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert attached.get_content_type() == "application/tlsrpt+gzip"
    assert attached.get_filename() == report.file_name
    assert attached.get_payload(decode=True) == report.content
    assert found.defects == []


@dataclass
class World:
    """A table with counts, and the mail and web servers that reports go to."""

    control: MemoryControl = field(default_factory=MemoryControl)
    time: float = NOW
    posted: list[RawLetter] = field(default_factory=list)
    called: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)
    works: bool = True
    seconds: float = 0.0  # that each sending takes

    def post(self, letter_or_url: Any, body: bytes = b"", headers: Any = None) -> Any:
        """Be both the LetterBox and the Endpoint."""
        self.time += self.seconds
        if isinstance(letter_or_url, RawLetter):
            if not self.works:
                raise AppMailError("no")
            self.posted.append(letter_or_url)
            return None
        if self.works:
            self.called.append((letter_or_url, body, headers))
        return Answer(201 if self.works else 503)

    def now(self) -> float:
        return self.time

    def row(self, process: str, counted: DomainCounts, day: str = DAY) -> None:
        place = Place(f"tlsrpt#{day}", f"{counted.domain}#{process}")
        self.control.put(Record(place, dump_counts(counted)))

    def tick(self, now: float | None = None, *, mail: bool = True) -> dict[str, int]:
        self.time = now or self.time
        ports = TlsReportPorts(self.control, self if mail else None, self, self, US)
        return dict(send_reports(self.time, ports))


def test_each_domain_gets_one_report_of_what_all_hosts_counted() -> None:
    world = World()
    world.row("p1", counts())
    world.row("p2", counts(succeeded=10))
    world.row("p1", counts("a.test.example", "https://reports.test/tls"))
    world.row("p1", counts("today.test"), "2027-01-16")
    assert world.tick() == {"tls_reports_sent": 2}
    assert world.tick() == world.tick(NOW + 3_600) == {}
    ((letter),) = world.posted
    assert letter.to == "tls@a.test"
    (attached,) = list(message_from_bytes(letter.message, policy=policy.default).iter_attachments())
    told = json.loads(gzip.decompress(attached.get_payload(decode=True)))
    assert told["policies"][0]["summary"] == {
        "total-successful-session-count": 15,
        "total-failure-session-count": 18,
    }
    ((url, body, headers),) = world.called
    assert (url, headers) == (
        "https://reports.test/tls",
        {"Content-Type": "application/tlsrpt+gzip"},
    )
    assert json.loads(gzip.decompress(body))["report-id"] == "2027-01-15_a.test.example@mail.test"


def test_a_day_is_reported_when_every_host_had_time_to_write_it_down() -> None:
    world = World()
    world.row("p1", counts())
    assert world.tick(NOW - 7_199) == {}
    assert world.tick(NOW - 3_601) == {}
    assert world.tick(NOW - 3_600) == {"tls_reports_sent": 1}


def test_many_domains_take_several_ticks() -> None:
    world = World()
    for number in range(45):
        world.row("p1", counts(f"d{number}.test"))
    sent = [world.tick().get("tls_reports_sent", 0) for _ in range(4)]
    assert sent == [20, 20, 5, 0]
    assert len({letter.to for letter in world.posted}) == 45


def test_a_tick_stops_when_its_time_is_over() -> None:
    world = World(seconds=15.0)
    for number in range(5):
        world.row("p1", counts(f"d{number}.test"))
    assert world.tick() == {"tls_reports_sent": 2}


def test_what_failed_is_tried_again_later_and_given_up_in_the_end() -> None:
    world = World(works=False)
    world.row("p1", counts("a.test", "mailto:one@a.test", "https://reports.test/tls"))
    now = NOW
    for _ in range(ROUNDS):
        assert world.tick(now) == {"tls_reports_failed": 2}
        assert world.tick(now + 60) == {}
        now += PAUSE
    world.works = True
    assert world.tick(now) == {}


def test_what_failed_once_is_sent_the_next_time() -> None:
    world = World(works=False)
    world.row("p1", counts())
    world.tick()
    world.works = True
    assert world.tick(NOW + PAUSE) == {"tls_reports_sent": 1}
    assert world.tick(NOW + 2 * PAUSE) == {}


def test_two_ticks_at_once_send_one_report() -> None:
    world, other = World(), World()
    world.row("p1", counts())
    other.control = world.control

    def meanwhile(*_: object) -> Any:
        assert other.tick() == {}

    world.post = meanwhile  # type: ignore[method-assign]
    assert world.tick() == {"tls_reports_sent": 1}
    assert other.posted == []


class Racing(MemoryControl):
    """Somebody else writes whatever was just read."""

    def read(self, place: Place) -> Record | None:
        found = super().read(place)
        self.put(Record(place, {}))
        return found


def test_who_loses_the_race_for_a_day_sends_nothing() -> None:
    world = World(control=Racing())
    world.row("p1", counts())
    assert world.tick() == {}
    assert world.posted == []


def test_a_tick_that_died_is_made_up_for() -> None:
    world = World()
    world.row("p1", counts())

    def die(*_: object) -> Any:
        raise RuntimeError("killed")

    world.post = die  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        world.tick()
    del world.post
    assert world.tick(NOW + 60) == {}
    assert world.tick(NOW + 301) == {"tls_reports_sent": 1}


def test_without_a_mail_server_only_https_is_served() -> None:
    world = World()
    world.row("p1", counts("a.test", "mailto:one@a.test", "https://reports.test/tls"))
    assert world.tick(mail=False) == {"tls_reports_sent": 1, "tls_reports_without_mail_server": 1}


@pytest.mark.parametrize(
    "body", [{}, {"domain": "a.test", "rua": [], "policies": [{}]}, {"rua": 7}]
)
def test_a_row_that_cannot_be_read_stops_nothing(body: dict[str, Any]) -> None:
    world = World()
    world.control.put(Record(Place(f"tlsrpt#{DAY}", "a.test#p1"), body))
    world.row("p1", counts("b.test"))
    assert world.tick() == {"tls_counts_unreadable": 1, "tls_reports_sent": 1}


def test_a_destination_that_no_mail_can_have_is_left_out() -> None:
    world = World()
    world.row("p1", counts("a.test", "mailto:a\r\nBcc: b@a.test"))
    assert world.tick() == {"tls_reports_unfit": 1}
    assert world.posted == []
