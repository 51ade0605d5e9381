"""Addresses: what is accepted as one, and what never gets further than the door."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.address import (
    Address,
    MalformedAddressError,
    parse_address,
    parse_domain,
    parse_mailbox,
    parse_mailboxes,
)

AWKWARD = st.text(
    st.sampled_from('aé@.,;:<>()[]"\\ \t\r\n\0-_=?\x85\ud800') | st.characters(), max_size=40
)


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("ann@example.com", "ann", "example.com"),
        ("Ann.Lee@Example.COM", "Ann.Lee", "example.com"),  # the local part keeps its case
        ("a+tag=b@example.com.", "a+tag=b", "example.com"),
        ('"two words"@example.com', '"two words"', "example.com"),
        ('"a@b"@example.com', '"a@b"', "example.com"),
        ('"a\\"b"@example.com', '"a\\"b"', "example.com"),
        ("jörg@exämple.com", "jörg", "exämple.com"),
        ("o'brien!#$%&*/?^_`{|}~-@a_b.example", "o'brien!#$%&*/?^_`{|}~-", "a_b.example"),
        ("x" * 64 + "@example.com", "x" * 64, "example.com"),
    ],
)
def test_addresses_that_are_taken(text: str, local: str, domain: str) -> None:
    assert parse_address(text) == Address(local, domain)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.com",
        "ann@",
        "ann@localhost",
        "ann@[192.0.2.1]",
        "ann@example..com",
        "ann@-example.com",
        "ann@example-.com",
        "ann@exa mple.com",
        ".ann@example.com",
        "ann.@example.com",
        "a..b@example.com",
        "a b@example.com",
        "a@b@example.com",
        '"a"b@example.com',
        '"a@example.com',
        "ann@example.com\r\n",
        "ann\r\nRCPT TO:<eve@example.com>@example.com",
        "ann\0@example.com",
        "ann\x85@example.com",  # NEL ends a line for str.splitlines
        "ann@exam\x85ple.com",
        "\ud800@example.com",  # JSON can spell half a pair, UTF-8 cannot
        "ann@\udfff.com",
        "<ann@example.com>",
        "x" * 65 + "@example.com",
        "é" * 33 + "@example.com",  # 66 octets
        "ann@" + "a" * 64 + ".com",
        "ann@" + "a." * 125 + "com",
    ],
)
def test_texts_that_are_no_address(text: str) -> None:
    with pytest.raises(MalformedAddressError):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "mailboxes"),
    [
        ("ann@example.com", [("", "ann@example.com")]),
        ("<ann@example.com>", [("", "ann@example.com")]),
        ("Ann Lee <ann@example.com>", [("Ann Lee", "ann@example.com")]),
        ('"Lee, Ann" <ann@example.com>', [("Lee, Ann", "ann@example.com")]),
        ('"a \\"b\\" c" <ann@example.com>', [('a "b" c', "ann@example.com")]),
        ("Mr. X: @home <x@example.com>", [("Mr. X: @home", "x@example.com")]),
        ("ann@example.com (Ann (the first), really)", [("", "ann@example.com")]),
        ('"a<eve@evil.example>" <ann@example.com>', [("a<eve@evil.example>", "ann@example.com")]),
        ("a@b.example, , C <c@d.example>,", [("", "a@b.example"), ("C", "c@d.example")]),
        ('"a,b"@example.com', [("", '"a,b"@example.com')]),
        ("Ann\t<ann@example.com>", [("Ann", "ann@example.com")]),
        ("", []),
    ],
)
def test_mailbox_lists_that_are_read(text: str, mailboxes: list[tuple[str, str]]) -> None:
    assert [(name, str(address)) for name, address in parse_mailboxes(text)] == mailboxes


@pytest.mark.parametrize(
    "text",
    [
        "Ann <ann@example.com",
        "ann@example.com>",
        "Ann <<ann@example.com>",
        "Ann <ann@example.com>>",
        "Ann <ann@example.com> Lee",
        "alice@example.org)bob@evil.example",  # CVE-2023-27043
        "alice@example.org(<bob@evil.example>",
        "alice@example.org)@evil.example(",
        "alice@example.org,<bob@evil.example",
        "alice@example.org]<bob@evil.example>extra",
        '"Ann <ann@example.com>',
        '"Ann" Lee" <ann@example.com>',
        "friends: a@example.com, b@example.com;",
        "Ann\r\nBcc: eve@evil.example <ann@example.com>",
        "<a@example.com,b@example.com>",
    ],
)
def test_mailbox_lists_that_are_refused(text: str) -> None:
    with pytest.raises(MalformedAddressError):
        parse_mailboxes(text)


@pytest.mark.parametrize("text", ["", " , ", "a@b.example, c@d.example"])
def test_one_mailbox_means_one(text: str) -> None:
    with pytest.raises(MalformedAddressError):
        parse_mailbox(text)


@given(AWKWARD)
@settings(max_examples=100)
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except MalformedAddressError:
        return
    assert parse_address(str(address)) == address
    assert len(str(address).encode()) <= 254
    assert str(address).isprintable() or " " in address.local
    assert len(str(address).splitlines()) == 1


@given(AWKWARD)
@settings(max_examples=100)
def test_any_text_is_a_mailbox_list_or_refused(text: str) -> None:
    try:
        mailboxes = parse_mailboxes(text)
    except MalformedAddressError:
        return
    for _, address in mailboxes:
        assert parse_address(str(address)) == address


@given(st.lists(st.sampled_from(["a", "Z9", "x-y", "é"]), min_size=2, max_size=4))
@settings(max_examples=50)
def test_a_domain_is_lower_case_and_has_no_final_dot(labels: list[str]) -> None:
    name = ".".join(labels)
    assert parse_domain(name) == parse_domain(name + ".") == parse_domain(name.upper())
