"""The peer that the benchmark compares with does what the comparison says it does."""

import base64
import smtplib
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from bench import peers
from bench.sample import message
from tests.peers.capture import capturing
from tests.support.customer import wait_for

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _needs_peers() -> None:
    problem = peers.why_not()
    if problem:
        pytest.skip(f"{problem} (.ci/run installs it)")


def test_the_relay_signs_with_rsa_2048_relaxed_relaxed(open_folder: Path) -> None:
    key = peers.new_key()
    with (
        capturing() as sink,
        peers.signing_relay(open_folder / "relay", sink.port, key) as relay,
        smtplib.SMTP("127.0.0.1", relay.postfix.port, timeout=30) as session,
    ):
        session.sendmail("bench@demo.mailroom.test", ["a@sink.test"], message())
        wait_for(lambda: sink.messages, what="the relayed message")
        assert relay.usage().peak_mb > 0
    (raw,) = sink.messages
    public = load_pem_private_key(key, None).public_key()
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; p=" + base64.b64encode(der)
    assert dkim.verify(raw, dnsfunc=lambda *_, **__: record)
    assert not dkim.verify(raw.replace(b"Hello", b"Hallo", 1), dnsfunc=lambda *_, **__: record)
    assert b"c=relaxed/relaxed" in raw


def test_a_small_measurement_has_its_conditions_with_it(open_folder: Path) -> None:
    with capturing() as sink:
        found = peers.postfix_relay(sink.port, 40)
        wait_for(lambda: len(sink.messages) == 40 + peers.SESSIONS, what="all messages")
    assert found["messages"] == 40
    assert found["messages_per_second"] > 0
    assert found["cpu_ms_per_message"] > 0
    assert "fsync" in found["ledger"]
