"""Counting for TLS reports: what is kept, of whom, and where it goes."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from egress.core.mx import Lookup, Texts
from egress.core.tls_tally import TlsTally
from egress.tls_reports import TlsReports
from mailroom.domain.tenancy.record import Place, Record
from mailroom.domain.transport.tls_counts import (
    MAX_FAILINGS,
    MAX_POLICIES,
    DomainCounts,
    PolicyCounts,
    dump_counts,
    load_counts,
    merged,
)
from mailroom.domain.transport.tls_result import AppliedPolicy, Failing, TlsResult
from mailroom.fakes.control import MemoryControl

NONE, STS = AppliedPolicy(), AppliedPolicy("sts", ("version: STSv1",), ("*.a.test",))
EXPIRED = Failing(TlsResult.CERTIFICATE_EXPIRED, "mx.a.test", "203.0.114.1", "203.0.113.9")
NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
WISH = "v=TLSRPTv1; rua=mailto:tls@a.test"


@dataclass
class World:
    """Domains that want reports, and the table."""

    wishes: dict[str, str] = field(default_factory=lambda: {"_smtp._tls.a.test": WISH})
    control: MemoryControl = field(default_factory=MemoryControl)
    now: float = NOON
    asked: list[str] = field(default_factory=list)

    async def texts(self, name: str) -> Texts:
        self.asked.append(name)
        found = self.wishes.get(name)
        return Texts(Lookup.FOUND, (found,)) if found else Texts(Lookup.ABSENT)

    def reports(self, process: str = "p1") -> TlsReports:
        return TlsReports(self, self.control, process=process, now=lambda: self.now)

    def counts(self, day: str, sort: str) -> DomainCounts | None:
        row = self.control.read(Place(f"tlsrpt#{day}", sort))
        return load_counts(row.body) if row else None


async def test_only_domains_that_ask_get_rows_and_later_flushes_replace_them() -> None:
    world = World()
    reports = world.reports()
    reports.succeeded("a.test", STS)
    reports.succeeded("b.test", NONE)
    await reports.flush()
    reports.failed("a.test", STS, EXPIRED)
    reports.failed("a.test", STS, EXPIRED)
    reports.succeeded("b.test", NONE)
    await reports.flush()
    await reports.flush()
    counted = DomainCounts("a.test", ("mailto:tls@a.test",), (PolicyCounts(STS, 1, {EXPIRED: 2}),))
    assert world.counts("2027-01-15", "a.test#p1") == counted
    assert len(world.control.page("tlsrpt#2027-01-15").records) == 1
    assert sorted(world.asked) == ["_smtp._tls.a.test", "_smtp._tls.b.test"]


async def test_a_day_ends_at_midnight_utc() -> None:
    world = World()
    reports = world.reports()
    reports.succeeded("a.test", NONE)
    world.now += 43_200
    reports.failed("a.test", NONE, EXPIRED)
    await reports.flush()
    first = world.counts("2027-01-15", "a.test#p1")
    second = world.counts("2027-01-16", "a.test#p1")
    assert first is not None
    assert second is not None
    assert reports._tally.counts("2027-01-15", "a.test") == ()  # it is over
    assert first.policies == (PolicyCounts(NONE, 1, {}),)
    assert second.policies == (PolicyCounts(NONE, 0, {EXPIRED: 1}),)


class Broken(MemoryControl):
    works = False

    def put(self, record: Record, expected: int | None = None) -> Record | None:
        if not self.works:
            raise OSError("no table")
        return super().put(record, expected)


async def test_what_could_not_be_written_is_written_next_time() -> None:
    control = Broken()
    world = World(control=control)
    reports = world.reports()
    reports.succeeded("a.test", NONE)
    await reports.flush()
    control.works = True
    await reports.flush()
    assert world.counts("2027-01-15", "a.test#p1") is not None


def test_the_tally_has_bounds() -> None:
    tally = TlsTally(max_domains=2)
    for number in range(4):
        tally.add("d", f"{number}.test", NONE)
    for number in range(MAX_POLICIES + 1):
        tally.add("d", "0.test", AppliedPolicy("sts", (str(number),)))
    for number in range(MAX_FAILINGS + 5):
        tally.add("d", "1.test", NONE, Failing(TlsResult.CERTIFICATE_EXPIRED, f"mx{number}"))
    assert tally.take_changed() == [("d", "0.test"), ("d", "1.test")]
    assert tally.uncounted == 2 + 2
    (counted,) = tally.counts("d", "1.test")
    assert counted.failed[Failing(TlsResult.CERTIFICATE_EXPIRED)] == 5
    assert sum(counted.failed.values()) == MAX_FAILINGS + 5
    tally.forget("d", "1.test")
    tally.put_back("d", "1.test")
    tally.put_back("d", "0.test")
    assert tally.take_changed() == [("d", "0.test")]
    assert tally.counts("d", "1.test") == ()


texts = st.text("abc.:1", max_size=6)
policies = st.builds(
    AppliedPolicy,
    texts,
    st.lists(texts, max_size=2).map(tuple),
    st.lists(texts, max_size=2).map(tuple),
)
failings = st.builds(Failing, st.sampled_from(TlsResult), texts, texts, texts)
counted = st.builds(
    PolicyCounts,
    policies,
    st.integers(0, 9),
    st.dictionaries(failings, st.integers(1, 9), max_size=3),
)
domains = st.builds(
    DomainCounts,
    st.just("a.test"),
    st.lists(texts, max_size=2).map(tuple),
    st.lists(counted, max_size=3, unique_by=lambda each: each.policy).map(tuple),
)


@given(domains)
def test_counts_survive_their_row(counts: DomainCounts) -> None:
    assert load_counts(dump_counts(counts)) == counts


@given(st.lists(domains, min_size=1, max_size=4))
def test_adding_up_loses_no_session(parts: list[DomainCounts]) -> None:
    def sessions(counts: DomainCounts) -> int:
        return sum(each.succeeded + sum(each.failed.values()) for each in counts.policies)

    whole = merged(parts)
    assert sessions(whole) == sum(map(sessions, parts))
    assert len({each.policy for each in whole.policies}) == len(whole.policies)
