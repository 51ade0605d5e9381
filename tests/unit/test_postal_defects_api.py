"""Defects of Postal's API (reference: Postal 3.3.6, GHSA-x2hq-rfpg-3xr5) shown absent by name."""

from typing import Any

import pytest

from tests.support.api_calls import MemoryApi

CALLS = ["messages/message", "messages/deliveries"]
LETTER = {"to": ["ann@x.test"], "from": "me@demo.test", "plain_body": "x"}


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


@pytest.fixture
def id_(api: MemoryApi) -> int:
    found = api.call("send/message", LETTER)["data"]["messages"]["ann@x.test"]["id"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("call", CALLS)
def test_defect_13_an_id_as_a_string_of_digits_finds_the_message(
    api: MemoryApi, id_: int, call: str
) -> None:
    assert api.call(call, {"id": str(id_)})["data"] == api.call(call, {"id": id_})["data"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "value", [{"id": 1}, {"1": "1 OR 1"}, {}, [], [1], 1.5, 1e20, True, False, None, ""], ids=repr
)
def test_defect_13_an_id_of_another_type_is_a_parameter_error(
    api: MemoryApi, id_: int, call: str, value: Any
) -> None:
    envelope = api.call(call, {"id": value})
    assert envelope["status"] == "parameter-error"
    assert envelope["data"]["message"].startswith("id ")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "value",
    [0, -1, 2**53, 2**64, 10**299, "0", "-1", "14; DROP TABLE messages", "9" * 25, "१४", "\ud800"],
    ids=ascii,
)
def test_defect_13_an_id_that_names_nothing_is_not_found(
    api: MemoryApi, id_: int, call: str, value: Any
) -> None:
    envelope = api.call(call, {"id": value})
    assert (envelope["status"], envelope["data"]["code"]) == ("error", "MessageNotFound")
    assert envelope["data"]["id"] == ("?" if value == "\ud800" else value)


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_id_is_a_parameter_error(api: MemoryApi, call: str) -> None:
    assert api.call(call, {})["data"] == {"message": "id is required"}
