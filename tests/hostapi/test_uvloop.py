"""The tests without parameters once more on uvloop, which the process uses where there is one."""

import pytest

from tests.egress.submission_stand import Walk, on_uvloop, walks
from tests.hostapi import test_large_bodies, test_process, test_trouble

ALL = [
    *walks(vars(test_large_bodies)),
    *walks(vars(test_trouble)),
    *walks(vars(test_process)),
]


@pytest.mark.parametrize("walk", ALL, ids=lambda walk: walk.__name__)
def test_it_is_the_same_on_uvloop(walk: Walk) -> None:
    on_uvloop(walk)
