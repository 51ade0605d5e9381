"""Streams, tags, metadata and tracking: what a header says and what is too much."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.headers import fields
from mailroom.domain.labels import (
    MAX_METADATA,
    MAX_TAGS,
    Labels,
    UnfitLabelError,
    checked,
    is_stream,
    joined,
    read_labels,
)


def read(*lines: str) -> Labels:
    return read_labels(list(fields("".join(f"{line}\r\n" for line in lines).encode())))


def test_a_header_may_say_all_of_it() -> None:
    assert read(
        "X-Mailroom-Stream: broadcast",
        "X-Mailroom-Tag: invoice",
        "x-mailroom-tag: =?utf-8?q?gr=C3=BCn?=",
        "X-Mailroom-Tag: invoice",
        "X-Postal-Tag: first",
        "X-Mailroom-Metadata-Order-Id: 4711",
        "X-Mailroom-Metadata-Plan: gold",
        "X-Mailroom-Track: Opens",
        "X-Mailroom-Something: else",
    ) == Labels(
        "broadcast",
        ("first", "invoice", "grün"),
        {"order-id": "4711", "plan": "gold"},
        track_opens=True,
        track_clicks=False,
    )


def test_a_header_that_says_nothing_leaves_all_open() -> None:
    assert read("Subject: x", "X-Mailroom-Tag:", "X-Mailroom-Stream: ") == Labels()


@pytest.mark.parametrize(
    ("text", "opens", "clicks"),
    [
        ("none", False, False),
        ("all", True, True),
        ("opens,clicks", True, True),
        ("clicks", False, True),
        ("OPENS , none", True, False),
    ],
)
def test_tracking_is_named(text: str, opens: bool, clicks: bool) -> None:
    labels = read(f"X-Mailroom-Track: {text}")
    assert (labels.track_opens, labels.track_clicks) == (opens, clicks)


@pytest.mark.parametrize(
    "line",
    [
        "X-Mailroom-Track: yes",
        "X-Mailroom-Stream: Broadcast",
        "X-Mailroom-Stream: -a",
        "X-Mailroom-Stream: " + "a" * 51,
        "X-Mailroom-Tag: " + "x" * 256,
        "X-Mailroom-Tag: =?utf-8?q?a=00b?=",
        "X-Mailroom-Metadata-: no name",
        "X-Mailroom-Metadata-" + "n" * 65 + ": x",
        "X-Mailroom-Metadata-Note: " + "x" * 513,
    ],
)
def test_what_cannot_be_kept_is_refused(line: str) -> None:
    with pytest.raises(UnfitLabelError):
        read(line)


def test_too_many_are_refused_also_together() -> None:
    with pytest.raises(UnfitLabelError, match="tags"):
        read(*(f"X-Mailroom-Tag: {number}" for number in range(MAX_TAGS + 1)))
    half = {f"n{number}": "v" for number in range(MAX_METADATA)}
    assert checked(Labels(metadata=half)).metadata == half
    with pytest.raises(UnfitLabelError, match="metadata"):
        joined(Labels(metadata=half), Labels(metadata={"other": "v"}), "")


def test_a_postal_tag_is_never_a_reason_to_refuse_mail() -> None:
    assert read("X-Postal-Tag: " + "x" * 1000).tags == ("x" * 100,)
    assert read("X-Postal-Tag: a\tb").tags == ("a b",)
    assert read("X-Postal-Tag: one", "X-Postal-Tag: two").tags == ("one",)


def test_the_call_goes_before_the_header_and_both_before_the_key() -> None:
    header = Labels("mine", ("h",), {"a": "1", "b": "2"}, True, None)
    call = Labels("", ("c",), {"b": "3"}, None, False)
    assert joined(call, header, "broadcast") == Labels(
        "mine", ("c",), {"a": "1", "b": "3"}, True, False
    )
    assert joined(Labels(), Labels(), "broadcast").stream == "broadcast"
    assert joined(Labels(), Labels(), "").stream == "transactional"


def test_streams_have_plain_names() -> None:
    assert [is_stream(name) for name in ("a", "news-2", "9", "", "a-", "ä", "a b", "a\n")] == [
        *[True] * 3,
        *[False] * 5,
    ]


NAMES = ("X-Mailroom-Stream", "X-Mailroom-Tag", "X-Mailroom-Track", "X-Postal-Tag",
         "X-Mailroom-Metadata-A", "X-Mailroom-Metadata-")  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=80)), max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_header_is_read_or_refused(lines: list[tuple[str, bytes]]) -> None:
    block = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines)
    try:
        labels = read_labels(list(fields(block)))
    except UnfitLabelError:
        return
    assert checked(labels) == labels
    assert len(labels.tags) == len(set(labels.tags))
