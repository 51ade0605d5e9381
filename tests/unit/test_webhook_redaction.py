"""What the history never shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailroom.domain.redaction import redact_text, redact_url

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (f"https://ann:{SECRET}@h.example:8/x?y=1", "https://h.example:8/x?y=1"),
        (f"https://h.example/?token={SECRET}&y=1", "https://h.example/?token=[redacted]&y=1"),
        (f"https://h.example/?y=1#{SECRET}", "https://h.example/?y=1"),
        ("https://h.example/?tokens=&flag", "https://h.example/?tokens=[redacted]&flag"),
        ("https://h.example/?page=2&keyboard=de", "https://h.example/?page=2&keyboard=de"),
        (
            "arn:aws:sns:eu-west-1:123456789012:a-org-b",
            "arn:aws:sns:eu-west-1:123456789012:a-org-b",
        ),
        ("http://[::1", "(malformed)"),
    ],
)
def test_a_url_keeps_what_is_no_secret(url, kept):
    assert redact_url(url) == kept


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "X-Auth-Token", "key", "api_key", "apikey", "API-Key", "secret",
        "client_secret", "password", "passwd", "pwd", "signature", "sig", "X-Amz-Signature",
        "X-Amz-Credential", "X-Amz-Security-Token", "code", "auth", "session", "sessionid", "jwt",
    ],
)  # fmt: skip
def test_these_parameters_are_secret(name):
    assert SECRET not in redact_url(f"https://h.example/?a=1&{name}={SECRET}&b=2")


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f"authorization={SECRET}",
        f'{{"headers": {{"Authorization": "Basic {SECRET}"}}}}',
        f"Set-Cookie: session={SECRET}; Path=/",
        f"Cookie: a={SECRET}; b={SECRET}",
        f"X-Api-Key: {SECRET}",
        f"sent Bearer {SECRET} to",
        f'{{"access_token": "{SECRET}", "x": 1}}',
        f'{{"db_password":"{SECRET}\\"{SECRET}"}}',
        f'{{"client_secret": "{SECRET}',
        f"no route for https://ann:{SECRET}@h.example/x",
        f"POST /hook?token={SECRET}&a=1 failed",
        f"SECRET_KEY={SECRET}\nDEBUG=1",
    ],
)
def test_an_answer_that_shows_secrets_is_kept_without_them(text):
    assert SECRET not in redact_text(text)


@pytest.mark.parametrize(
    "text",
    ["ok", '{"error": {"code": "invalid", "key": "subject"}}', "the code is 5", "a=1&b=2", ""],
)
def test_a_plain_answer_is_kept_as_it_is(text):
    assert redact_text(text) == text


@given(st.text(max_size=300))
def test_any_text_can_be_redacted_and_again_changes_nothing(text):
    once = redact_text(text)
    assert redact_text(once) == once
    redact_url(text)


@pytest.mark.timeout(30)  # a runaway pattern takes minutes
@pytest.mark.parametrize(
    "part", ["a", '"', "token", "https://", "key=", '"token":"', "bearer ", "."]
)
def test_an_answer_made_to_be_slow_is_not(part):
    text = (part * 4096)[:4096]
    assert isinstance(redact_text(text), str)
