"""What a journal leaves to do, from its lines alone."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egress.core.journal_log import (
    ClaimRecord,
    RecordKind,
    Replay,
    Unrecorded,
    claim_line,
    mark_line,
    reopen,
    replay,
    verdict_line,
)


def record(claim: str) -> ClaimRecord:
    return ClaimRecord(claim, "srv0000001", 12345, 7, 3, 2)


def life(claim: str, *steps: str) -> list[bytes]:
    lines = {
        "dot": mark_line(RecordKind.DOT, claim),
        "verdict": verdict_line(claim, {"code": 250}),
        "settled": mark_line(RecordKind.SETTLED, claim),
    }
    return [claim_line(record(claim)), *(lines[step] for step in steps)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((), Replay(released=(record("a"),))),
        (("dot",), Replay(uncertain=(record("a"),))),
        (("dot", "verdict"), Replay(unrecorded=(Unrecorded(record("a"), {"code": 250}),))),
        (("verdict",), Replay(unrecorded=(Unrecorded(record("a"), {"code": 250}),))),
        (("dot", "verdict", "settled"), Replay()),
        (("settled",), Replay()),
    ],
)
def test_each_moment_of_dying_has_its_answer(steps: tuple[str, ...], expected: Replay) -> None:
    assert replay(life("a", *steps)) == expected


def test_claims_are_kept_apart() -> None:
    lives = [
        life("a", "dot"),
        life("b"),
        life("c", "dot", "verdict"),
        life("d", "dot", "verdict", "settled"),
    ]
    mixed = [line for row in itertools.zip_longest(*lives) for line in row if line]
    found = replay(mixed)
    assert [each.claim for each in found.uncertain] == ["a"]
    assert [each.claim for each in found.released] == ["b"]
    assert [each.claim.claim for each in found.unrecorded] == ["c"]


@pytest.mark.parametrize("cut", [1, 2, 10, 20])
def test_a_torn_last_line_says_nothing(cut: int) -> None:
    lines = life("a", "dot")
    lines[-1] = lines[-1][:-cut]
    assert replay(lines) == Replay(released=(record("a"),), unreadable=1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 100 + b"\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        b'{"kind":"dot"}\n',
        b'{"kind":"dot","claim":["a"]}\n',
        b'{"kind":"dot","claim":"unknown"}\n',
        b'{"kind":"x","claim":"a"}\n',
        b'{"kind":"claim","claim":"b","server":1}\n',
        b'{"kind":"verdict","claim":"a","verdict":3}\n',
    ],
)
def test_garbage_is_counted_and_steps_aside(garbage: bytes) -> None:
    claim, dot = life("a", "dot")
    assert replay([claim, garbage, dot]) == Replay(uncertain=(record("a"),), unreadable=1)


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from(life("a", "dot", "verdict", "settled")),
        max_size=12,
    )
)
@settings(max_examples=100)
def test_any_lines_give_an_answer_and_compacting_keeps_it(lines: list[bytes]) -> None:
    before = replay(lines)
    after = replay(reopen(lines).dump().splitlines(keepends=True))
    assert (after.released, after.uncertain, after.unrecorded) == (
        before.released, before.uncertain, before.unrecorded,
    )  # fmt: skip
    assert after.unreadable == 0


def test_a_repeated_claim_does_not_hide_a_dot() -> None:
    claim, dot = life("a", "dot")
    lines = [claim, dot, claim]
    assert replay(lines) == Replay(uncertain=(record("a"),))
    assert replay(reopen(lines).dump().splitlines(keepends=True)) == replay(lines)


def test_lines_are_one_line_whatever_the_verdict_holds() -> None:
    line = verdict_line("a", {"text": "x\r\n\u2028y\ud800"})
    assert line.count(b"\n") == 1
    assert line.isascii()


def test_a_verdict_that_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        verdict_line("a", {"seconds": float("nan")})
    with pytest.raises(TypeError):
        verdict_line("a", {"when": object()})


def test_following_a_claim_that_is_not_open_is_an_error() -> None:
    with pytest.raises(KeyError):
        reopen([]).note(RecordKind.DOT, "a", b"")
