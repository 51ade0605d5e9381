"""Rows of transport security: what one host writes another reads, in the fake and in the table."""

import secrets
from dataclasses import dataclass, field

import pytest

from egress.core.mx import Lookup, Texts
from egress.sts_policies import StsPolicies
from egress.tls_memory import KeptTlsMemory
from egress.tls_reports import TlsReports
from mailroom.adapters.dynamo_control import ControlRow, DynamoControl
from mailroom.adapters.tables import bound
from mailroom.domain.transport.sts import StsMode, StsPolicy
from mailroom.domain.transport.tls_report import Submitter
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult
from mailroom.fakes.control import MemoryControl
from mailroom.ports import Answer
from mailroom.ports.app_mail import RawLetter
from mailroom.ports.control import Control
from mailroom.usecases.tls_reports import TlsReportPorts, send_reports

LATER = 4_000_000_000.0  # 2096-10-02 07:06 UTC; the emulator deletes rows whose ttl is over
DAY_AFTER = LATER + 86_400


@pytest.fixture(params=["memory", pytest.param("dynamo", marks=pytest.mark.emulator)])
def control(request: pytest.FixtureRequest) -> Control:
    if request.param == "memory":
        return MemoryControl()
    cloud = request.getfixturevalue("cloud")
    return DynamoControl(bound(ControlRow, cloud.settings.resource("table", "control")))


@pytest.fixture
def domain() -> str:
    return f"d{secrets.token_hex(6)}.test"


@dataclass
class World:
    """A domain with a policy and a wish for reports, and the mail server they go to."""

    policy: StsPolicy
    answers: bool = True
    told: list[str] = field(default_factory=list)
    letters: list[RawLetter] = field(default_factory=list)

    async def texts(self, name: str) -> Texts:
        if not self.answers:
            return Texts(Lookup.FAILED)
        sts = name.startswith("_mta-sts.")
        wish = f"v=TLSRPTv1; rua=mailto:tls@{name.removeprefix('_smtp._tls.')}"
        return Texts(Lookup.FOUND, ("v=STSv1; id=1" if sts else wish,))

    async def fetch(self, domain: str) -> StsPolicy:
        return self.policy

    def succeeded(self, domain: str, policy: AppliedPolicy) -> None:
        self.told.append(domain)

    def failed(self, domain: str, policy: AppliedPolicy, failing: Failing) -> None:
        self.told.append(domain)

    def post(self, letter: RawLetter) -> None:
        self.letters.append(letter)


async def test_a_policy_is_known_to_the_next_host(control: Control, domain: str) -> None:
    policy = StsPolicy(StsMode.ENFORCE, 86_400, ("*.a.test", "b.test"))
    world = World(policy)
    first = await StsPolicies(world, world, control, world, now=lambda: LATER).policy(domain)
    world.answers = False
    again = await StsPolicies(world, world, control, world, now=lambda: LATER + 9).policy(domain)
    assert first == again
    assert again is not None
    assert again.sts == policy


async def test_broken_tls_is_known_to_the_next_host(control: Control, domain: str) -> None:
    one, two = (KeptTlsMemory(control, now=lambda: LATER) for _ in range(2))
    one.learn(domain, TlsResult.CERTIFICATE_EXPIRED)
    await one.drain()
    await two.load()
    assert two.about(domain) is TlsResult.CERTIFICATE_EXPIRED


class Unused:
    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        raise AssertionError(url)


class Now:
    def now(self) -> float:
        return DAY_AFTER


async def test_what_hosts_counted_becomes_one_report_for_each_domain(control: Control) -> None:
    world = World(StsPolicy(StsMode.ENFORCE, 86_400, ("b.test",)))
    failing = Failing(TlsResult.CERTIFICATE_EXPIRED, "mx.test", "203.0.114.1")
    domains = ["a.test", "a-b.test", "a.test.example", "b.test"]
    for process in ("p1", "p2"):
        reports = TlsReports(world, control, process=process, now=lambda: LATER)
        for domain in domains:
            reports.succeeded(domain, AppliedPolicy("sts", ("mode: testing",)))
            reports.failed(domain, AppliedPolicy(), failing)
        await reports.flush()
    us = Submitter("Our Post", "mail.test", "tls@mail.test", "no-reply@mail.test")
    ports = TlsReportPorts(control, world, Unused(), Now(), us)
    assert send_reports(DAY_AFTER, ports) == {"tls_reports_sent": 4}
    assert send_reports(DAY_AFTER + 60, ports) == {}
    assert sorted(letter.to for letter in world.letters) == sorted(f"tls@{d}" for d in domains)
