"""MTA-STS records and policies as strangers publish them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.transport.sts import (
    MAX_AGE,
    MAX_POLICY,
    StsError,
    StsMode,
    StsPolicy,
    dump_sts,
    load_sts,
    parse_sts_policy,
    parse_sts_record,
)

ENFORCE = b"version: STSv1\nmode: enforce\nmx: mail.example.com\nmax_age: 604800\n"


@pytest.mark.parametrize(
    ("texts", "id_"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1 ; id=a1 ; later=x"], "a1"),
        (["v=spf1 -all", "v=STSv1; id=7;", "something else"], "7"),
        (["v=STSv1; id=1; id=2"], "1"),
    ],
)
def test_a_record_names_the_policy(texts: list[str], id_: str) -> None:
    assert parse_sts_record(texts) == id_


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["v=STSv1; id=1", "v=STSv1; id=2"],
        ["v=STSv1"],
        ["v=STSv1;"],
        ["v=STSv1; id="],
        ["v=STSv1; id=a-b"],
        ["v=STSv1; id=" + "1" * 33],
        ["v=STSv1; id=1;; x=2"],
        ["v=STSv10; id=1"],
        [" v=STSv1; id=1"],
        ["id=1; v=STSv1"],
        ["V=stsv1; id=1"],
        ["v=STSv1; id=1; junk"],
        ["v=STSv1; id=1; a=" + "b" * 2_000],
    ],
)
def test_a_record_that_is_none(texts: list[str]) -> None:
    assert parse_sts_record(texts) is None


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (ENFORCE, StsPolicy(StsMode.ENFORCE, 604_800, ("mail.example.com",))),
        (
            b"version: STSv1\r\nmode: testing\r\nmx: *.Example.net.\r\nmx: b\r\nmax_age: 0",
            StsPolicy(StsMode.TESTING, 0, ("*.example.net", "b")),
        ),
        (b"version:STSv1\nmode:none\nmax_age:86400\n\n", StsPolicy(StsMode.NONE, 86_400)),
        (
            b"max_age: 9999999999\nnew: thing\nmode: enforce\nmode: none\nmx: a.b\nversion: STSv1",
            StsPolicy(StsMode.ENFORCE, MAX_AGE, ("a.b",)),
        ),
    ],
)
def test_a_policy_is_read(text: bytes, policy: StsPolicy) -> None:
    assert parse_sts_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>not found</html>",
        ENFORCE.replace(b"STSv1", b"STSv2"),
        ENFORCE.replace(b"enforce", b"Enforce"),
        ENFORCE.replace(b"mode: enforce\n", b""),
        ENFORCE.replace(b"mx: mail.example.com\n", b""),
        ENFORCE.replace(b"mail.example.com", b"mail.*.com"),
        ENFORCE.replace(b"mail.example.com", b"*"),
        ENFORCE.replace(b"mail.example.com", b"a..b"),
        ENFORCE.replace(b"mail.example.com", b"a b"),
        ENFORCE.replace(b"mail.example.com", "bücher.example".encode()),
        ENFORCE.replace(b"604800", b"-1"),
        ENFORCE.replace(b"604800", b"12345678901"),
        ENFORCE.replace(b"604800", "٣".encode()),
        ENFORCE.replace(b"max_age: 604800\n", b""),
        ENFORCE + b"\xff: x\n",
        ENFORCE + b"x: " + b"y" * MAX_POLICY,
    ],
)
def test_a_policy_that_is_none(text: bytes) -> None:
    with pytest.raises(StsError):
        parse_sts_policy(text)


@pytest.mark.parametrize(
    ("pattern", "host", "covered"),
    [
        ("mail.example.com", "mail.example.com", True),
        ("mail.example.com", "MAIL.example.com.", True),
        ("mail.example.com", "a.mail.example.com", False),
        ("*.example.com", "mail.example.com", True),
        ("*.example.com", "a.mail.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "mailexample.com", False),
    ],
)
def test_a_wildcard_stands_for_one_label(pattern: str, host: str, covered: bool) -> None:
    assert StsPolicy(StsMode.ENFORCE, 1, (pattern,)).covers(host) is covered


def test_a_report_quotes_the_policy() -> None:
    assert parse_sts_policy(ENFORCE).lines == (
        "version: STSv1",
        "mode: enforce",
        "mx: mail.example.com",
        "max_age: 604800",
    )


fields = st.sampled_from(
    [
        "version: STSv1",
        "mode: enforce",
        "mode: none",
        "mx: *.a.example",
        "mx: b",
        "max_age: 60",
        "x",
    ]
) | st.text(max_size=20)
NEAR = st.lists(fields, max_size=8).map(lambda lines: "\n".join(lines).encode())


@given(NEAR | st.binary(max_size=200))
def test_whatever_is_read_as_a_policy_is_one(octets: bytes) -> None:
    try:
        policy = parse_sts_policy(octets)
    except StsError:
        return
    assert policy.mx or policy.mode is StsMode.NONE
    assert 0 <= policy.max_age <= MAX_AGE
    assert parse_sts_policy("\n".join(policy.lines).encode()) == policy
    assert load_sts(dump_sts(policy)) == policy


@given(st.lists(st.text(max_size=40) | st.text("v=STSv1; id123", max_size=30), max_size=3))
def test_whatever_is_read_as_a_record_names_a_policy(texts: list[str]) -> None:
    id_ = parse_sts_record(texts)
    assert id_ is None or (id_.isascii() and id_.isalnum() and len(id_) <= 32)
