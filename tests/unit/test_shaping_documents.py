"""Shaping documents: all that is wrong is told at once, and the shipped ones are right."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.adapters.shipped import LOCAL, STARTER, shipped, shipped_shaping
from mailroom.domain.sending.settings import AddressLimits, BackoffSettings, PathSettings
from mailroom.domain.shaping.fields import ADDRESS, BACKOFF, SETTINGS
from mailroom.domain.shaping.layers import effective
from mailroom.domain.shaping.loading import MAX_PROBLEMS, ShapingError, load, problems_of

DOCS = Path(__file__).parents[2] / "docs/shaping.md"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ([], "the document: an object"),
        ({"pools": {}}, "pools: no such setting"),
        ({"version": "a b"}, "version: a word of letters, digits, dots and hyphens"),
        ({"defaults": 5}, "defaults: an object"),
        ({"defaults": {"conections": 5}}, "defaults.conections: no such setting"),
        ({"defaults": {"connections": 0}}, "defaults.connections: a whole number from 1 to 10,000"),
        (
            {"defaults": {"connections": True}},
            "defaults.connections: a whole number from 1 to 10,000",
        ),
        (
            {"defaults": {"connections": None}},
            "defaults.connections: a whole number from 1 to 10,000",
        ),
        ({"defaults": {"idle": float("nan")}}, "defaults.idle: a number from 0 to 300"),
        ({"defaults": {"message_rate": 5}}, "defaults.message_rate: a rate like 100/min"),
        (
            {"defaults": {"byte_rate": "1/999999d"}},
            "defaults.byte_rate: a rate from one a day to 1,000,000,000 a second",
        ),
        (
            {"defaults": {"ip": "ipv5"}},
            "defaults.ip: one of ipv4-first, ipv6-first, ipv4-only, ipv6-only",
        ),
        ({"defaults": {"replace": 1}}, "defaults.replace: true or false"),
        (
            {"defaults": {"retry": ["x"]}},
            "defaults.retry: a word of letters, digits, dots and hyphens",
        ),
        (
            {"defaults": {"connections": 2, "start_connections": 3}},
            "defaults.start_connections: more than connections, which are 2",
        ),
        (
            {"defaults": {"connections": 2, "backoff": {"connections": 3}}},
            "defaults.backoff.connections: more than connections, which are 2",
        ),
        (
            {"defaults": {"message_rate": "1/s", "backoff": {"message_rate": None}}},
            "defaults.backoff.message_rate: more than the normal message_rate, 1/1s",
        ),
        (
            {"defaults": {"backoff": {"idle": 5}}},
            "defaults.backoff.idle: no such setting",
        ),
        (
            {"defaults": {"pools": {"p": {"pools": {}}}}},
            "defaults.pools.p.pools: no such setting",
        ),
        (
            {"providers": {"gmail": {"addresses": {"a": {"age": 0}}}}},
            "providers.gmail.addresses.a.age: a number from 1 to 3,600",
        ),
        ({"providers": {"Gmail": {}}}, "providers: 'Gmail' is no name for one of them"),
        ({"providers": {"other": {}}}, "providers.other: no name for a provider"),
        (
            {"providers": {"mine": {"idle": 5}}},
            "providers.mine.mx: missing: nobody knows the mail exchangers of this one",
        ),
        (
            {"providers": {"mine": {"mx": ["*.example.com"]}}},
            "providers.mine.mx: '*.example.com' is no name like .example.com",
        ),
        (
            {"providers": {"mine": {"mx": []}}},
            "providers.mine.mx: a list of 1 to 50 names or .suffixes",
        ),
        (
            {"providers": {"gmail": {"roll_up": "ip"}}},
            "providers.gmail.roll_up: one of provider, mx_set",
        ),
        ({"sites": {"a#b": {}}}, "sites: 'a#b' is no name for one of them"),
        ({"domains": {"Example.com": {}}}, "domains: 'Example.com' is no name for one of them"),
        ({"address": {"idle": 5}}, "address.idle: no such setting"),
        (
            {"address": {"connections": 0}},
            "address.connections: a whole number from 1 to 100,000",
        ),
        ({"shared": {}}, "shared: a list of at most 500 limits"),
        ({"shared": [5]}, "shared.1: an object"),
        (
            {"shared": [{"scope": "tenant", "match": ["a", "b"], "rate": "1/s"}]},
            "shared.1.match: a list of tenant; * for any",
        ),
        ({"shared": [{"scope": "tenant", "match": ["a"]}]}, "shared.1.rate: missing"),
        (
            {"shared": [{"scope": "tenant", "match": ["a"], "rate": None}]},
            "shared.1.rate: a rate like 100/min",
        ),
        ({"defaults": {"reviewed_on": "soon"}}, "defaults.reviewed_on: a day like 2026-11-28"),
        ({"defaults": {"sources": {"x": "y"}}}, "defaults.sources.x: no such setting"),
        ({"defaults": {"warmup": "fast"}}, "defaults.warmup: there is no warm-up plan 'fast'"),
        (
            {"sites": {"mx:a": {"pools": {"p": {"warmup": "gentle"}}}}},
            "sites.mx:a.warmup: only in defaults and providers, which warm-up goes by",
        ),
        ({"defaults": {"note": 5}}, "defaults.note: text of at most 500 characters"),
        ({"sites": {f"mx:{n}": {} for n in range(2_001)}}, "sites: 2,001 of them; at most 2,000"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(document: Any, problem: str) -> None:
    assert problem in problems_of(document)


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {"defaults": {"idle": -1, "age": 0, "x": 1}, "sites": {"mx:a": {"tls": ""}}}
    with pytest.raises(ShapingError) as raised:
        load(wrong)
    assert len(raised.value.problems) == 4
    assert len(problems_of({str(n): 1 for n in range(500)})) == MAX_PROBLEMS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*SETTINGS, "pools", "backoff", "mx"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "defaults", "providers", "sites", "domains", "address", "shared", "plans"]
        ),
        JSON | st.dictionaries(st.sampled_from(["gmail", "mx:a", "a.b"]), JSON, max_size=3),
    )
)
def test_no_document_breaks_the_reader(document: dict[str, Any]) -> None:
    problems = problems_of(document)
    assert all(": " in each for each in problems)
    if not problems:
        load(document)


def test_every_setting_of_a_path_can_be_written() -> None:
    named = {setting.field or name for name, setting in SETTINGS.items()}
    assert named == {each.name for each in fields(PathSettings)} - {"backoff"}
    assert set(BACKOFF) == {each.name for each in fields(BackoffSettings)}
    assert set(ADDRESS) == {each.name for each in fields(AddressLimits)}


@pytest.mark.parametrize("name", [STARTER, LOCAL])
def test_the_shipped_sets_are_right(name: str) -> None:
    assert problems_of(shipped(f"shaping_{name}")) == ()


def test_no_other_set_is_shipped() -> None:
    with pytest.raises(ValueError, match="starter or local"):
        shipped_shaping("../reply_rules")


def test_every_number_of_the_starter_says_where_it_is_from_and_when_it_was_looked_at() -> None:
    document = shipped("shaping_starter")
    for name, layer in {"defaults": document["defaults"], **document["providers"]}.items():
        said = {key for key in layer if key in SETTINGS}
        said |= {f"backoff.{key}" for key in layer.get("backoff", {})}
        assert said == layer["sources"].keys(), name
        assert layer["reviewed_on"], name


def test_the_starter_s_default_is_what_is_built_in() -> None:
    assert effective(shipped_shaping(), provider="other", site="mx:x").settings == PathSettings()


@pytest.mark.parametrize(
    ("provider", "connections", "messages", "tls"),
    [
        ("gmail", 5, 50, "required"),
        ("yahoo", 10, 20, "required"),
        ("microsoft", 5, 50, "required"),
        ("microsoft365", 5, 50, "opportunistic"),
        ("apple", 10, 5, "opportunistic"),
        ("comcast", 25, 1_000, "required"),
        ("united-internet", 4, 20, "required"),
        ("orange", 2, 100, "required"),
        ("mimecast", 10, 100, "opportunistic"),
        ("barracuda", 10, 15, "required"),
        ("yahoo-japan", 2, 20, "opportunistic"),
        ("other", 10, 100, "opportunistic"),
    ],
)
def test_the_starter_begins_where_receivers_are_known_to_bear_it(
    provider: str, connections: int, messages: int, tls: str
) -> None:
    settings = effective(shipped_shaping(), provider=provider, site=provider).settings
    assert (settings.connections, settings.messages_per_connection) == (connections, messages)
    assert settings.tls == tls


def test_the_local_set_holds_nothing_back() -> None:
    settings = effective(shipped_shaping(LOCAL), provider="other", site="mx:x").settings
    assert settings.connections == settings.start_connections == settings.host_connections == 20
    assert settings.message_rate is settings.connection_rate is settings.byte_rate is None


def test_the_guide_names_every_setting() -> None:
    text = DOCS.read_text("utf-8")
    for name in (*SETTINGS, *(f"backoff.{each}" for each in BACKOFF)):
        assert f"| `{name}` |" in text


def test_the_documents_of_the_guide_are_right() -> None:
    found = re.findall(r"```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found
    for text in found:
        assert problems_of(json.loads(text)) == ()
