"""Secrets appear in the answer that makes them and nowhere else: no log, audit entry or row."""

from collections.abc import Iterator

import pytest

from mailroom.domain.tenancy.access import Scope
from mailroom.fakes.requests import MemoryAnswers
from tests.support.management import Management
from tests.support.people import mailed_token, member

KMS_LIMIT = 4_096  # octets


@pytest.fixture
def platform() -> Management:
    return Management()


def secrets_of(platform: Management) -> Iterator[str]:
    """Make, rotate, change, restore and repeat everything that has a secret."""
    org = platform.organisation()
    server = platform.server(org)
    owner = member(platform, org, "owner")
    yield owner.token
    one_time = {"idempotency-key": "once"}
    body = {"name": "x", "scopes": ["servers:read"]}
    for path in ("/keys", f"/organisations/{org}/keys", f"/users/{owner.id}/tokens"):
        yield from rotated(platform, path, body, one_time | {"idempotency-key": path})
    for number, type_ in enumerate(("API", "SMTP")):
        body = {"type": type_, "name": "x", "cram": type_ == "SMTP"}
        key = {"idempotency-key": f"credential {number}".replace(" ", "-")}
        yield from rotated(platform, f"/servers/{server}/credentials", body, key)
    platform.made(f"/organisations/{org}/invitations", {"email": "a@b.test", "role": "admin"})
    token = mailed_token(platform)
    yield token
    accepted = platform.ask(
        "POST", "/invitations/accept", {"token": token, "name": "A"}, key=None, headers=one_time
    )
    yield accepted.json["secret"]


def rotated(
    platform: Management, path: str, body: dict[str, object], headers: dict[str, str]
) -> Iterator[str]:
    first = platform.made(path, body, headers=headers)
    again = platform.ask("POST", path, body, headers=headers)
    assert again.json == first  # a lost answer can be asked for again with its own key
    yield first["secret"]
    one = f"{path}/{first['id']}"
    key = {"idempotency-key": headers["idempotency-key"] + "-rotate"}
    second = platform.ask("POST", f"{one}/rotate", {"overlap_seconds": 60}, headers=key).json
    yield second["secret"]
    for told in (
        platform.ask("PATCH", one, {"name": "y"}),
        platform.ask("GET", one),
        platform.ask("GET", path),
        platform.ask("DELETE", one),
        platform.ask("POST", f"{one}/restore"),
    ):
        assert first["secret"] not in told.text
        assert second["secret"] not in told.text


def test_a_secret_is_in_no_row_log_or_remembered_answer(
    platform: Management, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    secrets = list(secrets_of(platform))
    assert len(secrets) == len(set(secrets)) == 13
    written = capfd.readouterr()
    answers = platform.desk.answers
    assert isinstance(answers, MemoryAnswers)
    bodies = [dict(record.body) for record in platform.registry._records.values()]
    texts = [written.out, written.err, caplog.text, repr(bodies), repr(answers._kept)]
    for secret in secrets:
        for text in texts:
            assert secret not in text
    assert "request" in written.err  # something was logged at all


def test_the_longest_answer_with_a_secret_is_one_that_kms_encrypts(platform: Management) -> None:
    server = platform.server(platform.organisation())
    networks = [f"2001:db8:ffff:ffff:ffff:ffff:ffff:ff{n:02x}" for n in range(32)]
    body = {"name": "\U0001f4ec" * 100, "networks": networks}
    key = platform.ask("POST", "/keys", {**body, "scopes": [*Scope, "*"]})
    body |= {"type": "SMTP", "secret": "x" * 128, "stream": "s" * 32, "external_id": "x" * 128}
    platform.made(f"/servers/{server}/streams", {"name": "s" * 32, "class": "broadcast"})
    credential = platform.ask("POST", f"/servers/{server}/credentials", body)
    for told in (key, credential):
        assert told.status == 201
        assert len(told.text.encode()) < KMS_LIMIT - 1_000  # room for fields yet to come


def test_hashes_are_in_no_answer_and_no_audit_entry(platform: Management) -> None:
    list(secrets_of(platform))
    entries = [
        repr(record.body)
        for place, record in platform.registry._records.items()
        if place.partition.startswith("audit#")
    ]
    assert any("'secret_hash': '(not shown)'" in entry for entry in entries)
    hashes = [
        value
        for place, record in platform.registry._records.items()
        if place.sort.startswith(("r#", "x#"))
        for name, value in record.body["fields"].items()
        if name.endswith("_hash") and value
    ]
    assert hashes
    assert not [entry for entry in entries for each in hashes if each in entry]
