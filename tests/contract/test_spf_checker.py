"""The SpfChecker port: pyspf over our DNS, and the fake where it claims the same."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.adapters.spf_check import PyspfChecker
from mailroom.domain.dns.spf import SpfAnswer, SpfResult
from mailroom.fakes.dns import MemoryDns, MemorySpf
from mailroom.ports.dns import SpfChecker

OURS = "spf.mail.test"
SENDER = "198.51.100.9"


def world(record: str = "", **others: str) -> MemoryDns:
    dns = MemoryDns()
    if record:
        dns.publish("example.com", "TXT", "unrelated", record)
    dns.publish(OURS, "TXT", f"v=spf1 ip4:{SENDER} ip6:2001:db8::9 -all")
    for name, text in others.items():
        dns.publish(f"{name}.example", "TXT", text)
    return dns


def evaluated(dns: MemoryDns, *addresses: str) -> SpfAnswer:
    return PyspfChecker(dns).evaluate("example.com", OURS, addresses)


@pytest.mark.parametrize("make", [MemorySpf, PyspfChecker])
@pytest.mark.parametrize(
    ("record", "result", "reached"),
    [
        (f"v=spf1 include:{OURS} ~all", "pass", True),
        (f"v=spf1 include:one.example include:{OURS} ~all", "pass", True),
        ("v=spf1 include:one.example ~all", "softfail", False),
        ("v=spf1 include:two.example ~all", "pass", True),
        ("", "none", False),
    ],
)
def test_fake_and_library_agree(
    make: Callable[[MemoryDns], SpfChecker], record: str, result: str, reached: bool
) -> None:
    dns = world(record, one="v=spf1 ~all", two=f"v=spf1 include:{OURS} ~all")
    answer = make(dns).evaluate("example.com", OURS, [SENDER])
    assert (answer.result, answer.reached) == (result, reached)


@pytest.mark.parametrize("make", [MemorySpf, PyspfChecker])
def test_a_dns_that_does_not_answer_is_a_temporary_error(
    make: Callable[[MemoryDns], SpfChecker],
) -> None:
    dns = world()
    dns.broken = {"example.com"}
    answer = make(dns).evaluate("example.com", OURS, [SENDER])
    assert answer.result is SpfResult.TEMPERROR
    assert answer.problem


@pytest.mark.parametrize("make", [MemorySpf, PyspfChecker])
def test_two_records_are_an_error(make: Callable[[MemoryDns], SpfChecker]) -> None:
    dns = world()
    dns.publish("example.com", "TXT", "v=spf1 -all", "v=spf1 ~all")
    assert make(dns).evaluate("example.com", OURS, [SENDER]).result is SpfResult.PERMERROR


@pytest.mark.parametrize(
    ("record", "result", "reached"),
    [
        ("v=spf1 redirect=two.example", "pass", True),
        ("v=spf1 include:three.example -all", "pass", True),  # an include, a redirect, an include
        (f"v=spf1 -all include:{OURS}", "fail", False),  # nothing after all is looked at
        (f"v=spf1 a mx include:{OURS} -all", "pass", True),
        (f"v=spf1 exists:%{{i}}.none.example include:{OURS} -all", "pass", True),
        (f"v=spf1 ip4:{SENDER} -all", "pass", False),
        ("V=SPF1 INCLUDE:SPF.MAIL.TEST -ALL", "pass", True),
        (f"v=spf1 include:{OURS}. -all", "pass", True),
        ("v=spf1 mx:mail.example -all", "pass", False),
        ("v=spf1", "neutral", False),
    ],
)
def test_includes_redirects_and_the_order_of_terms(record: str, result: str, reached: bool) -> None:
    dns = world(
        record,
        two=f"v=spf1 include:{OURS} -all",
        three="v=spf1 redirect=two.example",
    )
    dns.publish("example.com", "A", "192.0.2.7")
    dns.publish("example.com", "MX", "10 mx.example.com")
    dns.publish("mx.example.com", "A", "192.0.2.8")
    dns.publish("mail.example", "MX", f"10 host{OURS}")
    dns.publish(f"host{OURS}", "A", SENDER)
    answer = evaluated(dns, SENDER)
    assert (answer.result, answer.reached) == (result, reached)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("v=spf1 include:loop.example -all", "Too many DNS lookups"),
        ("v=spf1 include:example.com -all", "recursion"),
        ("v=spf1 redirect=loop2.example", "Too many DNS lookups"),
        ("v=spf1 include:nothing.example -all", "No valid SPF record"),
        ("v=spf1 include:none1.example -all", "No valid SPF record"),
        ("v=spf1 ip4:1.2.3 -all", "Invalid IP4"),
        ("v=spf1 a:gone1.example a:gone2.example a:gone3.example -all", "Void lookup"),
        ("v=spf1 foo -all", "Unknown mechanism"),
        ("v=spf1 \u00fc -all", "Non-ascii"),
    ],
)
def test_records_receivers_cannot_use(record: str, words: str) -> None:
    dns = world(
        record,
        loop="v=spf1 include:loop1.example -all",
        loop1="v=spf1 include:loop.example -all",
        loop2="v=spf1 redirect=loop3.example",
        loop3="v=spf1 redirect=loop2.example",
    )
    answer = evaluated(dns, SENDER)
    assert answer.result is SpfResult.PERMERROR
    assert words.lower() in answer.problem.lower()


def chain(length: int) -> MemoryDns:
    """An SPF record that needs `length` look-ups to come to ours."""
    others = {f"n{n}": f"v=spf1 include:n{n + 1}.example ~all" for n in range(1, length - 1)}
    others[f"n{length - 1}"] = f"v=spf1 include:{OURS} ~all"
    return world("v=spf1 include:n1.example ~all", **others)


def test_ten_look_ups_are_enough_and_eleven_too_many() -> None:
    answer = evaluated(chain(10), SENDER)
    assert (answer.result, answer.reached, answer.lookups) == (SpfResult.PASS, True, 10)
    answer = evaluated(chain(11), SENDER)
    assert (answer.result, answer.reached) == (SpfResult.PERMERROR, False)


def test_the_worst_of_all_addresses_counts() -> None:
    dns = world(f"v=spf1 include:{OURS} -all")
    assert evaluated(dns, SENDER, "2001:db8::9").result is SpfResult.PASS
    answer = evaluated(dns, SENDER, "198.51.100.10")
    assert (answer.result, answer.reached) == (SpfResult.FAIL, True)


def test_without_addresses_the_way_to_our_record_is_what_counts() -> None:
    answer = evaluated(world(f"v=spf1 include:{OURS} ?all"))
    assert (answer.result, answer.reached) == (SpfResult.NEUTRAL, True)


def test_addresses_share_what_was_asked() -> None:
    dns = world(f"v=spf1 include:{OURS} -all")
    evaluated(dns, *[f"198.51.100.{n}" for n in range(20)])
    assert len(dns.asked) == 2


def test_time_is_limited() -> None:
    now = iter(range(0, 1_000, 15))
    dns = world("v=spf1 include:n1.example -all", n1="v=spf1 include:n2.example -all")
    checker = PyspfChecker(dns, clock=lambda: float(next(now)))
    answer = checker.evaluate("example.com", OURS, [SENDER])
    assert (answer.result, answer.problem) == (SpfResult.TEMPERROR, "the DNS took too long")


TERMS = st.one_of(
    st.sampled_from(
        [
            *("a", "mx", "ptr", "+all", "-all", "ip4:1.2.3.4/0", "ip6:::/0", "a//", "a/33"),
            *("redirect=", "redirect=%{d}", "exp=%{i}", "include:%{l}", "include:", "exists:"),
            *("%", "%{", "exists:%{ir}.%{v}.%{d2}", "include:one.example", "=", "ip6:zz"),
            *("a:%{p}.x.example", "default=-"),
        ]
    ),
    st.text(max_size=30),
)


@given(st.lists(TERMS, max_size=8), st.lists(TERMS, max_size=4))
@settings(max_examples=300)
def test_any_record_gives_an_answer(terms: list[str], included: list[str]) -> None:
    dns = world("v=spf1 " + " ".join(terms), one="v=spf1 " + " ".join(included))
    answer = evaluated(dns, SENDER)
    assert isinstance(answer.result, SpfResult)
    assert len(dns.asked) < 400
