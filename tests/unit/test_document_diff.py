"""Differences of documents in lines that a person reads."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.document_diff import MAX_LINES, diff_documents


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b: 1 -> 2"]),
        ({}, {"a": {"b": 2, "c": None}}, ["+ a.b: 2", "+ a.c: null"]),
        ({"a": {"b": "x"}, "d": {}}, {}, ['- a.b: "x"', "- d: {}"]),
        ({"a": 1}, {"a": {"b": 1}}, ['a: 1 -> {"b": 1}']),
        ({"a": 1}, {"a": True}, ["a: 1 -> true"]),
        ({"a": [1, 2]}, {"a": [2]}, ["a: [1, 2] -> [2]"]),
        (
            {"rules": [{"id": "x", "code": "4"}, {"id": "y"}]},
            {"rules": [{"id": "x", "code": "5"}, {"id": "z"}]},
            ['rules.x.code: "4" -> "5"', '- rules.y.id: "y"', '+ rules.z.id: "z"'],
        ),
        (
            {"rules": [{"id": "x"}, {"id": "y"}]},
            {"rules": [{"id": "y"}, {"id": "x"}]},
            ["rules: other order"],
        ),
        ({"rules": []}, {"rules": [{"id": "x"}]}, ['rules: [] -> [{"id": "x"}]']),
    ],
)
def test_a_difference_is_a_line(old: Any, new: Any, lines: list[str]) -> None:
    assert diff_documents(old, new) == lines


def test_there_is_an_end_to_lines_and_to_values() -> None:
    many = diff_documents({}, {str(n): n for n in range(3_000)})
    assert len(many) == MAX_LINES + 1
    assert many[-1] == "... and more"
    assert len(diff_documents({"a": "x" * 500}, {"a": 1})[0]) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=3), JSON), st.dictionaries(st.text(max_size=3), JSON))
def test_there_are_lines_exactly_if_something_is_different(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert diff_documents(old, old) == []
    if old != new:
        assert diff_documents(old, new)
