"""The peer that the benchmark compares with does what the comparison says it does."""

import base64
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from bench import peers
from bench.queue_peer import holding, take_in
from bench.sample import message
from tests.peers.capture import capturing
from tests.support.customer import wait_for

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _needs_peers() -> None:
    problem = peers.why_not()
    if problem:
        pytest.skip(f"{problem} (.ci/run installs it)")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder for Postfix's own account. Every start of pytest closes those it makes itself."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


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


def test_the_peer_holds_what_it_takes_in_and_delivers_it_signed_when_asked(
    open_folder: Path,
) -> None:
    with (
        capturing() as sink,
        holding(open_folder, next_port=sink.port, connections=5, signing=True) as peer,
    ):
        take_in(peer, 20, 2_048, connections=2)
        waiting = peer.postfix.queued
        assert waiting == 20 + 2 * 2  # the warm-up's are there too
        assert sink.messages == []
        delivered = peer.deliver_all()
        wait_for(lambda: len(sink.messages) == waiting, what="all that was held")
        wait_for(lambda: peer.postfix.queued == 0, what="an empty queue")
    assert delivered.seconds > 0
    for raw in sink.messages:
        assert raw.count(b"DKIM-Signature:") == 1
        assert b"c=relaxed/relaxed" in raw
