"""Verdicts again over stored facts, networks, and what privacy leaves of a hit."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.event import AttemptFacts, Event, EventType, ViewFacts, dump_event, load_event
from mailroom.domain.message import DeliveryKey, ServerId, submission_number
from mailroom.domain.visit import (
    RULES_VERSION,
    Verdict,
    is_person,
    judged,
    network_of,
    reduced,
    rejudge,
)
from mailroom.domain.visit_rules import RULES

ACCEPTED = 1_760_000_000.0
KEY = DeliveryKey(ServerId("abcdefghij"), submission_number(ACCEPTED, 5), 0)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36"
)
AGENTS = [rule.sample.user_agent for rule in RULES] + [
    "",
    "\x00",
    "\ud800",
    "İSTANBULBOT",
    "\u017fcanner",
]

texts = st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
agents = st.lists(texts | st.sampled_from(AGENTS), min_size=1, max_size=3).map(
    "".join
) | st.sampled_from(AGENTS)
views = st.builds(
    ViewFacts,
    ip_address=st.ip_addresses().map(str) | st.text(max_size=10),
    user_agent=agents,
    url=st.sampled_from(["", "https://a.test/", "https://b.test/", "https://c.test/"]),
    network=st.ip_addresses().map(lambda ip: network_of(str(ip))) | st.text(max_size=10),
    verdict=st.sampled_from(["", *Verdict, "of a later version"]),
    ahead=st.booleans(),
)
offsets = st.floats(-5, 20, allow_nan=False) | st.integers(0, 8)


def seen(offset, view, name="v"):
    type_ = EventType.CLICKED if view.url else EventType.OPENED
    return Event(f"{KEY}/{type_}/{name}", type_, KEY, ACCEPTED + offset, view=view)


def click(offset, url="https://a.test/", agent=CHROME, **facts):
    return seen(offset, ViewFacts("", agent, url, "192.0.2.0/24", **facts), f"{offset}{url}")


def attempt(offset, type_=EventType.SENT):
    return Event(f"{KEY}/1/{type_}", type_, KEY, ACCEPTED + offset, AttemptFacts(1, "said"))


def verdicts(events):
    return [event.view.verdict for event in rejudge(events) if event.view]


histories = st.lists(
    st.builds(seen, offsets, views)
    | st.builds(attempt, offsets, st.sampled_from([EventType.SENT, EventType.UNCERTAIN])),
    max_size=12,
)


@settings(max_examples=100)
@given(histories)
def test_judging_twice_is_judging_once(events):
    once = rejudge(events)
    assert rejudge(once) == once
    assert [event.id for event in once] == [event.id for event in events]
    assert all(event.view.rules == RULES_VERSION for event in once if event.view)


@settings(max_examples=50)
@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_the_history_does_not_matter(events, chance: random.Random):
    distinct = {event.at: event for event in events}
    by_time = [distinct[at] for at in sorted(distinct)]
    shuffled = list(by_time)
    chance.shuffle(shuffled)
    assert sorted(rejudge(shuffled), key=lambda event: event.at) == rejudge(by_time)


@settings(max_examples=100)
@given(views, st.none() | offsets)
def test_privacy_changes_no_verdict_and_leaves_no_address(view, age):
    kept = reduced(view, privacy=True)
    assert kept.ip_address == ""
    assert reduced(kept, privacy=True) == kept
    assert judged(kept, age=age).verdict == judged(view, age=age).verdict
    assert len(kept.user_agent) <= max(len(view.user_agent), len("Samsung Internet"))
    assert reduced(view, privacy=False) is view


@settings(max_examples=100)
@given(st.text() | st.ip_addresses().map(str))
def test_any_text_has_a_network_or_none(address):
    assert isinstance(network_of(address), str)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("192.0.2.77, 10.0.0.1", ""),
        ("", ""),
    ],
)
def test_a_network_is_the_address_cut(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME, "Chrome"),
        (CHROME + " Edg/130.0.0.0", "Edge"),
        ("Mozilla/5.0 (X11; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko)", "WebKit"),
        ("Ann's own reader 7 (serial 12345)", "other"),
        ("python-requests/2.32.3", "python-requests"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "bot"),
        ("", ""),
    ],
)
def test_of_a_user_agent_privacy_leaves_the_family(agent, family):
    kept = reduced(ViewFacts("192.0.2.7", agent, "https://a.test/"), privacy=True)
    assert (kept.user_agent, kept.network) == (family, "192.0.2.0/24")


def test_the_family_is_what_the_rules_of_its_own_kind_find():
    opened = ViewFacts("", "Microsoft Office and Barracuda")
    assert reduced(opened, privacy=True).user_agent == "Barracuda"


def test_links_followed_all_at_once_are_a_scanners():
    hits = [click(60 + step / 10, f"https://a.test/{step}") for step in range(3)]
    assert verdicts(hits) == ["link_scanner"] * 3
    assert verdicts(hits[:2]) == ["person"] * 2


def test_the_same_link_again_and_again_is_no_burst():
    assert verdicts([click(60 + step / 10) for step in range(9)]) == ["person"] * 9


def test_a_reader_after_the_scanner_is_a_reader():
    scan = [click(10, f"https://a.test/{step}") for step in range(3)]
    assert verdicts([*scan, click(12.5)]) == ["link_scanner"] * 3 + ["person"]


def test_what_browsers_fetch_ahead_makes_no_burst():
    ahead = [click(60, f"https://a.test/{step}", ahead=True) for step in range(9)]
    assert verdicts([*ahead, click(60)]) == ["prefetch"] * 9 + ["person"]


def test_a_click_is_too_soon_after_the_receiver_took_the_mail():
    assert verdicts([click(61)]) == ["person"]
    assert verdicts([attempt(60), click(61)]) == ["link_scanner"]
    assert verdicts([click(55), attempt(60), click(62)]) == ["link_scanner", "person"]


def test_after_a_lost_reply_nobody_knows_when_the_reader_had_it():
    lost = attempt(30, EventType.UNCERTAIN)
    assert verdicts([lost, click(31), attempt(900), click(901)]) == ["person"] * 2


def test_before_the_mail_was_sent_no_person_had_it():
    assert verdicts([click(1.5)]) == ["link_scanner"]  # of acceptance: there is no attempt yet


def test_old_facts_without_a_network_are_judged_by_their_address():
    old = seen(60, ViewFacts("104.47.1.2", CHROME, "https://a.test/"))
    assert verdicts([old]) == ["link_scanner"]


@pytest.mark.parametrize(
    ("verdict", "human"),
    [("", True), ("person", True), ("machine_open", False), ("later", False)],
)
def test_who_counts_as_human(verdict, human):
    assert is_person(ViewFacts("", "", verdict=verdict)) is human


@settings(max_examples=50)
@given(views)
def test_a_judged_hit_survives_the_journey(view):
    event = seen(60, judged(view, age=60))
    assert load_event(json.loads(json.dumps(dump_event(event)))) == event
