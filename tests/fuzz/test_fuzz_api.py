"""Any octets at all as a body: an envelope, never a 500, and nothing stored unless it says so."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailroom.domain.headers import to_crlf
from tests.support.api_calls import KEY, MemoryApi, http_event

CALLS = ["send/message", "send/raw", "messages/message", "messages/deliveries"]
FIELDS = [
    "to", "cc", "bcc", "from", "sender", "subject", "tag", "reply_to", "plain_body", "html_body",
    "attachments", "headers", "bounce", "mail_from", "rcpt_to", "data", "id", "name",
    "content_type", "X-Own", "Date", "_expansions",
]  # fmt: skip

words = st.sampled_from(
    ["ann@x.test", "Me <me@demo.test>", "me@demo.test", '"a, b" <c@d.test>', "a@b.test,c@d.test",
     "eA==", "RnJvbTogbWVAZGVtby50ZXN0DQoNCng=", "text/plain; charset=x", "a\r\nBcc: x@y.test",
     "\ud800", "\0", "ü@é.test", "", " ", "<>", "1", "469198340356096", "x" * 3000]
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=30)
    | words
)
names = st.sampled_from(FIELDS) | st.text(st.characters(), max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
good_message = {"to": ["ann@x.test"], "from": "me@demo.test", "plain_body": "x"}
good_raw = {
    "rcpt_to": ["ann@x.test"],
    "mail_from": "me@demo.test",
    "data": base64.b64encode(b"From: me@demo.test\r\n\r\nx").decode(),
}
# A good call with a few fields replaced gets further than one made of chance alone.
calls = st.one_of(
    values,
    st.builds(
        dict.__or__,
        st.sampled_from([good_message, good_raw, {}]),
        st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
    ),
)
quiet = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def check(api: MemoryApi, event: dict[str, Any]) -> None:
    status, envelope = api.ask(event)
    assert status == 200
    assert set(envelope) == {"status", "time", "flags", "data"}
    assert envelope["status"] in {"success", "error", "parameter-error"}
    if envelope["status"] == "success":
        for submission in api.ledger.submissions.values():
            assert submission.from_address.endswith("@demo.test")
    else:
        assert api.is_untouched
        assert "Traceback" not in str(envelope["data"])


@pytest.mark.parametrize("call", CALLS)
@quiet
@given(value=calls)
def test_any_json_gets_an_envelope(call: str, value: Any) -> None:
    headers = {"x-server-api-key": KEY, "content-type": "application/json"}
    check(MemoryApi(), http_event("POST", f"/api/v1/{call}", json.dumps(value), headers=headers))


@pytest.mark.parametrize("call", CALLS)
@quiet
@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(lambda t: b"params=" + t.encode()),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "", "text/x"]),
)
def test_any_octets_get_an_envelope(call: str, body: bytes, kind: str) -> None:
    headers = {"x-server-api-key": KEY, "content-type": kind}
    check(MemoryApi(), http_event("POST", f"/api/v1/{call}", body, headers=headers))


@quiet
@given(
    raw=st.lists(
        st.binary(max_size=60)
        | st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"From: me@demo.test\r\n",
                b"From: a@b.test\n",
                b"X: \0\r\n",
                b"Content-Type: multipart/mixed; boundary=b\r\n",
                b"--b\r\n",
                b"Message-ID: <\r\n y>",
                b"Subject: =?utf-8?b?////?=\r\n",
                b"Subject: =?utf-7?q?+AA?=\r\n",
                b"From:\r\n",
                b"Content-Type: text/html; charset=utf-16\r\n",
                b"Content-Disposition: attachment; filename*=x''%ff\r\n",
                b"Content-Transfer-Encoding: base64\r\n",
            ]
        ),
        max_size=10,
    ).map(b"".join)
)
def test_any_raw_message_gets_an_envelope(raw: bytes) -> None:
    call = good_raw | {"data": base64.b64encode(raw).decode()}
    headers = {"x-server-api-key": KEY, "content-type": "application/json"}
    api = MemoryApi()
    check(api, http_event("POST", "/api/v1/send/raw", json.dumps(call), headers=headers))
    for submission in api.ledger.submissions.values():
        order = {"id": submission.key(0).postal_id, "_expansions": True}
        read = api.call("messages/message", order)["data"]
        assert base64.b64decode(read["raw_message"]) == to_crlf(raw)
