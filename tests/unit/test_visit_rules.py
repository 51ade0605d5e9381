"""Every rule knows what it is for: its sample fires it, and no rule before it takes it."""

from dataclasses import replace

import pytest

from mailroom.domain.visit import fired, judge
from mailroom.domain.visit_rules import RULES, Verdict, VisitFacts

RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
CHROME = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"
)


@RULE
def test_a_rules_own_sample_fires_it(rule):
    assert fired(rule.sample) is rule


@RULE
def test_a_rule_says_why_it_is_and_judges_a_machine(rule):
    assert len(rule.source) > 10
    assert rule.verdict is not Verdict.PERSON
    conditions = (rule.agent, rule.networks, rule.ahead, rule.younger_than, rule.links > 1)
    assert any(conditions)


@RULE
def test_an_agent_is_looked_for_in_lower_case(rule):
    pattern = rule.agent.pattern if rule.agent else ""
    for escape in ("\\A", "\\Z"):
        pattern = pattern.replace(escape, "")
    assert pattern == pattern.lower()


def test_names_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    "agent",
    [
        CHROME,
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
        ),
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0",
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0"
        ),
        (
            "Mozilla/5.0 (Linux; Android 11; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/110.0.0.0 Mobile Safari/537.36"
        ),
        "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE) AppleWebKit/537.36 (KHTML, like Gecko)",
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 "
            "[FBAN/FBIOS;FBAV/437.0.0.31.107;FBLC/de_DE]"
        ),
        "Mail/3774.600.62 CFNetwork/1490.0.4 Darwin/23.2.0",
        "okhttp/4.12.0",
        "something nobody has heard of",
    ],
)
@pytest.mark.parametrize("click", [True, False])
def test_people_and_what_nobody_knows_are_people(agent, click):
    assert judge(VisitFacts(click, agent, "192.0.2.0/24", age=3600.0)) is Verdict.PERSON


def test_outlook_opens_for_a_person_and_follows_links_before_one():
    seen = VisitFacts(
        click=False,
        user_agent="Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Microsoft Outlook "
        "16.0.5435; ms-office; MSOffice 16)",
    )
    assert judge(seen) is Verdict.PERSON
    assert judge(replace(seen, click=True)) is Verdict.PREFETCH


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (VisitFacts(False, "Mozilla/5.0"), Verdict.MACHINE_OPEN),
        (VisitFacts(True, "Mozilla/5.0"), Verdict.LINK_SCANNER),
        (VisitFacts(False, " \t"), Verdict.MACHINE_OPEN),
        (VisitFacts(True, ""), Verdict.LINK_SCANNER),
        (VisitFacts(False, "Mozilla/5.0 (Windows; via ggpht.com)"), Verdict.MACHINE_OPEN),
        (VisitFacts(True, "curl/8.11.0"), Verdict.LINK_SCANNER),
        (VisitFacts(True, "CURL/8"), Verdict.LINK_SCANNER),
        (VisitFacts(True, "Mozilla/5.0 (compatible; SomeCrawler)"), Verdict.LINK_SCANNER),
        (VisitFacts(True, CHROME, "52.103.1.0/24"), Verdict.LINK_SCANNER),
        (VisitFacts(True, CHROME, "2a01:111:f403::/48"), Verdict.LINK_SCANNER),
        (VisitFacts(True, CHROME, "2a01:111:f404::/48"), Verdict.PERSON),
        (VisitFacts(True, CHROME, "52.0.0.0/8"), Verdict.PERSON),
        (VisitFacts(True, CHROME, "no network"), Verdict.PERSON),
        (VisitFacts(True, CHROME, age=-30.0), Verdict.LINK_SCANNER),
        (VisitFacts(True, CHROME, age=2.0), Verdict.PERSON),
        (VisitFacts(False, CHROME, age=0.5), Verdict.PERSON),  # a mailbox may be open already
        (VisitFacts(True, CHROME, links=2), Verdict.PERSON),
        (VisitFacts(True, "", ahead=True), Verdict.PREFETCH),
    ],
)
def test_verdicts(facts, verdict):
    assert judge(facts) is verdict
