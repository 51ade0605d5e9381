"""Postal's labels of how much a credential is in use."""

import pytest

from mailroom.domain.tenancy.usage import Usage, usage_of

DAY, NOW = 86_400.0, 1_800_000_000.0


@pytest.mark.parametrize(
    ("days", "label"),
    [
        (0, Usage.ACTIVE),
        (29, Usage.ACTIVE),
        (31, Usage.QUIET),
        (182, Usage.QUIET),
        (183, Usage.DORMANT),
        (365, Usage.DORMANT),
        (366, Usage.INACTIVE),
    ],
)
def test_the_label_says_how_long_ago_it_was(days: int, label: Usage) -> None:
    assert usage_of(NOW - days * DAY, NOW) is label


def test_what_was_never_used_is_unused() -> None:
    assert usage_of(None, NOW) is Usage.UNUSED
