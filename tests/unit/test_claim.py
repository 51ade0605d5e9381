"""Ids of claims, and the processes they name."""

import pytest

from mailroom.domain.claim import claim_id, claim_name, process_of


@pytest.mark.parametrize("process", ["host-1.0a1b2c", "x", "eu.host.7f"])
def test_a_claim_names_its_process(process: str) -> None:
    claim = claim_id(process, "0123456789abcdef")
    assert process_of(claim) == process
    assert claim_name(claim) == "01234567"


def test_a_claim_of_before_names_none() -> None:
    assert process_of("0123456789abcdef") == ""
    assert claim_name("0123456789abcdef") == "01234567"
