"""Replies of a world that is not there."""

import pytest

from mailroom.domain.outcome import BounceKind, Verdict, classify_reply
from mailroom.domain.simulate import GREYLIST, TABLE, simulate


@pytest.mark.parametrize(
    ("recipient", "verdict", "bounce"),
    [
        ("ann@customer.example", Verdict.SENT, None),
        ("bounces@customer.example", Verdict.SENT, None),
        ("bounce@customer.example", Verdict.BOUNCED, BounceKind.HARD),
        ("Hard-Bounce+run7@customer.example", Verdict.BOUNCED, BounceKind.HARD),
        ("soft-bounce@customer.example", Verdict.BOUNCED, BounceKind.SOFT),
        ("blocked@customer.example", Verdict.BOUNCED, BounceKind.BLOCK),
        ("reject-data@customer.example", Verdict.BOUNCED, BounceKind.BLOCK),
        ("no-such-domain@customer.example", Verdict.BOUNCED, BounceKind.HARD),
        ("defer@customer.example", Verdict.DEFERRED, None),
        ("defer-data@customer.example", Verdict.DEFERRED, None),
        ("throttle@customer.example", Verdict.DEFERRED, None),
        ("disconnect@customer.example", Verdict.DEFERRED, None),
        ("drop-after-dot@customer.example", Verdict.UNCERTAIN, None),
        ('"bounce"@customer.example', Verdict.SENT, None),
        ("nobody", Verdict.SENT, None),
    ],
)
def test_the_local_part_chooses(
    recipient: str, verdict: Verdict, bounce: BounceKind | None
) -> None:
    outcome = classify_reply(simulate(recipient, attempts=3))
    assert (outcome.verdict, outcome.bounce) == (verdict, bounce)


def test_a_greylist_defers_once() -> None:
    name = f"{GREYLIST}@x.example"
    verdicts = [classify_reply(simulate(name, attempts=n)).verdict for n in range(3)]
    assert verdicts == [Verdict.DEFERRED, Verdict.SENT, Verdict.SENT]


def test_every_reply_says_that_it_is_simulated() -> None:
    replies = [*TABLE.values(), simulate("x@y.example", attempts=0)]
    assert all("simulated" in reply.text for reply in replies)
