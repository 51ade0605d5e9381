"""The API's page says what the API does: its examples run, its codes exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mail_api.schema import MAX_ATTACHMENTS, MAX_TAG

from mailroom.domain.headers import MAX_HEADER_LINES, MAX_HEADER_OCTETS, MAX_NESTING
from mailroom.domain.lifecycle import State
from tests.support.api_calls import MemoryApi

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api" / "postal-v1.md").read_text()
WEBHOOKS = (ROOT / "docs" / "webhooks.md").read_text()
EXAMPLES = re.findall(
    r"```json request (\S+)\n(.*?)```\n+```json answer\n(.*?)```", PAGE, re.DOTALL
)


def shape(value: Any) -> Any:
    """Return types where a value differs from call to call, keys and words where not."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return value if isinstance(value, str) and len(value) < 15 else type(value)


@pytest.mark.parametrize(("call", "request_", "answer"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_the_examples_are_answered_as_shown(call: str, request_: str, answer: str) -> None:
    given = MemoryApi().call(call, json.loads(request_))
    assert shape(given) == shape(json.loads(answer))


def test_every_example_is_json() -> None:
    assert len(EXAMPLES) == 3
    for block in re.findall(r"```json[^\n]*\n(.*?)```", PAGE, re.DOTALL):
        json.loads(block)


def test_every_code_and_state_is_on_the_page() -> None:
    folder = ROOT / "functions" / "api" / "mail_api"
    sources = [path.read_text() for path in folder.glob("*.py") if path.name != "wiring.py"]
    codes = set(re.findall(r'"((?:[A-Z]+[a-z]+){2,}|[A-Z][a-zA-Z]*APIKey)"', "".join(sources)))
    assert {"NoRecipients", "InvalidServerAPIKey", "TooManyCCAddresses"} <= codes
    for word in [*codes, *State]:
        assert f"`{word}`" in PAGE + WEBHOOKS


@pytest.mark.parametrize(
    "number", [MAX_ATTACHMENTS, MAX_TAG, MAX_HEADER_LINES, MAX_HEADER_OCTETS // 1024, MAX_NESTING]
)
def test_every_limit_is_on_the_page(number: int) -> None:
    assert f"{number:,}" in PAGE
