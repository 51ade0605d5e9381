"""Sites and providers by mail exchangers: all have to agree, and their order says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.provider import PROVIDERS
from mailroom.domain.sending.path import Site
from mailroom.domain.shaping.providers import (
    BUILT_IN,
    RESERVED,
    ProviderRule,
    RollUp,
    domain_of,
    merged,
    provider_rule,
    short,
    site_of,
)

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
FOREIGN = NAME.map(lambda name: f"{name}.foreign.example")
RULES = st.sampled_from(BUILT_IN)


def hosts_of(rule: ProviderRule) -> st.SearchStrategy[list[str]]:
    host = st.tuples(LABEL, st.sampled_from(rule.suffixes)).map("".join)
    return st.lists(host, min_size=1, max_size=5)


def at(*best: str, domain: str = "example.com", **more: object) -> Site:
    return site_of(domain, best, (), BUILT_IN, **more)  # type: ignore[arg-type] # port, own


@pytest.mark.parametrize(
    ("best", "site"),
    [
        (["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"], "gmail"),
        (["smtp.google.com"], "gmail"),
        (["aspmx.l.google.com", "aspmx2.googlemail.com"], "gmail"),
        (["outlook-com.olc.protection.outlook.com"], "microsoft"),
        (["contoso-com.mail.protection.outlook.com"], "microsoft365"),
        (["contoso-com.o-v1.mx.microsoft"], "microsoft365"),
        (["mta5.am0.yahoodns.net", "mta6.am0.yahoodns.net"], "yahoo"),
        (["mx-aol.mail.gm0.yahoodns.net"], "yahoo"),
        (["mx01.mail.icloud.com", "mx02.mail.icloud.com"], "apple"),
        (["mx00.gmx.net", "mx01.gmx.net"], "united-internet"),
        (["mx-ha02.web.de"], "united-internet"),
        (["smtp-in.orange.fr"], "orange"),
        (["mx1a1.comcast.net"], "comcast"),
        (["MX1.QQ.com."], "tencent"),
    ],
)
def test_the_large_providers_are_known_by_their_mail_exchangers(best: list[str], site: str) -> None:
    assert at(*best) == Site(site, site)


def test_regions_of_a_filter_are_sites_of_their_own() -> None:
    eu = at("eu-smtp-inbound-1.mimecast.com", "eu-smtp-inbound-2.mimecast.com")
    us = at("us-smtp-inbound-1.mimecast.com", "us-smtp-inbound-2.mimecast.com")
    assert eu.provider == us.provider == "mimecast"
    assert eu.key.startswith("mimecast:mimecast.com~")
    assert eu.key != us.key
    assert eu == at("eu-smtp-inbound-2.mimecast.com", "eu-smtp-inbound-1.mimecast.com")


def test_a_name_that_only_looks_like_a_provider_s_is_nobody_s() -> None:
    assert at("mail.notgoogle.com") == Site("mx:mail.notgoogle.com")
    assert at("google.com.example.net").provider == "other"
    assert at("mail.protection.outlook.com").provider == "other"


def test_a_domain_without_mx_is_its_own_site() -> None:
    assert at("small.example", domain="small.example") == Site("mx:small.example")
    assert site_of("small.example", (), (), BUILT_IN) == Site("mx:small.example")
    assert site_of("small.example", (), ("b.example",), BUILT_IN) == Site("mx:b.example")


def test_domains_at_the_same_hosts_are_one_site_and_other_ports_another() -> None:
    first, second = at("mx.example.net", domain="a.example"), at("mx.example.net", domain="b.test")
    assert first == second == Site("mx:mx.example.net")
    assert at("mx.example.net", port=2525) == Site("mx:mx.example.net:2525")
    assert at("mx.google.com", port=2525) == Site("gmail:2525", "gmail")


def test_a_domain_with_settings_of_its_own_has_a_site_of_its_own() -> None:
    site = at("smtp.google.com", domain="big.example", own={"big.example"})
    assert site == Site("domain:big.example", "gmail")
    assert domain_of(site.key) == "big.example"
    assert domain_of("mx:big.example") == domain_of("gmail") == ""
    ported = at("x.test", domain="big.example", own={"big.example"}, port=2525)
    assert domain_of(ported.key) == "big.example"


@given(st.data(), RULES)
def test_the_order_and_case_of_mail_exchangers_never_matter(
    data: st.DataObject, rule: ProviderRule
) -> None:
    hosts = data.draw(hosts_of(rule) | st.lists(FOREIGN, min_size=1, max_size=5))
    other = [
        host.upper() if upper else f"{host}."
        for host, upper in zip(
            data.draw(st.permutations(hosts)), data.draw(st.permutations([True, False] * 5)),
            strict=False,
        )
    ]  # fmt: skip
    assert at(*hosts) == at(*other) == at(*other, *hosts)


@given(st.data(), RULES, FOREIGN)
def test_one_foreign_mail_exchanger_means_no_provider(
    data: st.DataObject, rule: ProviderRule, foreign: str
) -> None:
    hosts = data.draw(hosts_of(rule))
    assert at(*hosts).provider == rule.id
    mixed = data.draw(st.permutations([*hosts, foreign]))
    assert at(*mixed).provider == "other"
    assert at(*mixed).key.startswith("mx:")


@given(
    st.lists(NAME, min_size=1, max_size=4, unique=True),
    st.lists(NAME, min_size=1, max_size=4, unique=True),
)
def test_other_sets_of_names_have_other_short_texts(one: list[str], two: list[str]) -> None:
    one, two = sorted(one), sorted(two)
    assert (short(one) == short(two)) is (one == two)
    assert len(short(one)) <= 64 + 17


@given(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=10))
def test_whatever_names_there_are_a_key_is_short_and_plain(hosts: list[str]) -> None:
    key = at(*hosts).key
    assert len(key) < 150
    assert not set(key) & set("#/ ")


def test_the_most_exact_of_several_rules_decides() -> None:
    wide, narrow = (
        ProviderRule("wide", (".example.com",)),
        ProviderRule("mine", (".mx.example.com",)),
    )
    for rules in ([wide, narrow], [narrow, wide]):
        assert provider_rule(["a.mx.example.com"], rules) is narrow
        assert provider_rule(["a.mx.example.com", "b.example.com"], rules) is wide
    assert provider_rule([], [wide]) is None


def test_rules_of_one_s_own_stand_in_place_of_the_built_in_ones() -> None:
    own = {
        "gmail": ProviderRule("gmail", (".example.com",), RollUp.MX_SET),
        "mine": ProviderRule("mine", ("mx.mine.example",)),
    }
    rules = merged(BUILT_IN, own)
    assert len(rules) == len(BUILT_IN) + 1
    assert site_of("d.test", ["smtp.google.com"], (), rules).provider == "other"
    assert site_of("d.test", ["a.example.com"], (), rules) == Site("gmail:a.example.com", "gmail")
    assert site_of("d.test", ["mx.mine.example"], (), rules) == Site("mine", "mine")
    assert site_of("d.test", ["a.mx.mine.example"], (), rules).provider == "other"


def test_ids_are_those_of_statistics_where_those_have_one() -> None:
    ids = {rule.id for rule in BUILT_IN}
    assert len(ids) == len(BUILT_IN)
    assert not ids & RESERVED
    only_by_mx = {
        "microsoft365", "mimecast", "proofpoint", "barracuda", "cisco", "cloudmark", "broadcom",
        "trendmicro", "hornetsecurity", "amazon", "cloudflare", "netvigator",
    }  # fmt: skip
    assert ids - only_by_mx <= set(PROVIDERS)
