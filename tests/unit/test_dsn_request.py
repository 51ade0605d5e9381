"""What is asked of delivery reports: read strictly, written compactly, read back the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.dsn_request import (
    DsnRequest,
    MalformedDsnError,
    RecipientRequest,
    dump,
    load,
    read_envelope_id,
    read_notify,
    read_original,
    read_returned,
)

requests = st.builds(
    DsnRequest,
    st.sampled_from(["", "FULL", "HDRS"]),
    st.sampled_from(["", "QQ314159", "a+2Bb"]),
    st.lists(
        st.builds(
            RecipientRequest,
            st.sampled_from([(), ("NEVER",), ("SUCCESS", "DELAY"), ("FAILURE",)]),
            st.sampled_from(["", "rfc822;a@b.test", "utf-8;用户@例子.测试"]),
        ),
        max_size=5,
    ).map(tuple),
)


@settings(max_examples=100)
@given(requests)
def test_what_is_written_reads_back_the_same_for_every_recipient(request: DsnRequest) -> None:
    found = load(dump(request))
    assert (found.returned, found.envelope_id) == (request.returned, request.envelope_id)
    for index in range(7):
        assert found.of(index) == request.of(index)


def test_nothing_asked_is_nothing_kept() -> None:
    assert dump(DsnRequest("", "", (RecipientRequest(), RecipientRequest()))) == ""
    assert load("") == DsnRequest()


def test_the_text_is_compact() -> None:
    request = DsnRequest("HDRS", "", (RecipientRequest(), RecipientRequest(("NEVER",))))
    assert dump(request) == '{"ret":"HDRS","rcpt":{"1":{"notify":["NEVER"]}}}'


def test_good_values_are_read() -> None:
    assert read_returned("hdrs") == "HDRS"
    assert read_envelope_id("x" * 100) == "x" * 100
    assert read_notify("delay,FAILURE") == ("FAILURE", "DELAY")
    assert read_notify("never") == ("NEVER",)
    assert read_original("rfc822;Bob+2Bx@Example.COM") == "rfc822;Bob+2Bx@Example.COM"
    assert read_original("utf-8;用@例.test", utf8=True)


@pytest.mark.parametrize("text", ["", "FULL,HDRS", "BODY"])
def test_a_malformed_ret_is_refused(text: str) -> None:
    with pytest.raises(MalformedDsnError):
        read_returned(text)


@pytest.mark.parametrize("text", ["", "x" * 101, "a+2", "a+2b", "a=b", "a b", "ä", "a\r\n"])
def test_a_malformed_envid_is_refused(text: str) -> None:
    with pytest.raises(MalformedDsnError):
        read_envelope_id(text)


@pytest.mark.parametrize("text", ["", ",", "NEVER,DELAY", "DELAY,DELAY", "ALWAYS", "DELAY,"])
def test_a_malformed_notify_is_refused(text: str) -> None:
    with pytest.raises(MalformedDsnError):
        read_notify(text)


@pytest.mark.parametrize(
    "text",
    ["", "rfc822", "rfc822;", ";a@b", "rfc822;a+b", "a b;c", "utf-8;ä", "rfc822;" + "a" * 494],
)
def test_a_malformed_orcpt_is_refused(text: str) -> None:
    with pytest.raises(MalformedDsnError):
        read_original(text)
