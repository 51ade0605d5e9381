"""What swaks can ask of a submission server besides a login: pipelining, PROXY, size, bad order."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.egress.submission_stand import SECRET
from tests.peers.door import SENDER, USER, Door, open_door
from tests.peers.swaks import Transcript, run_swaks

pytestmark = pytest.mark.peers

OUTSIDE, STRANGER = "192.0.2.7", "192.0.2.8"
PROXY_OPTIONS = {
    "1": ("--proxy-version", "1", "--proxy-family", "TCP4"),
    "2": ("--proxy-version", "2", "--proxy-family", "AF_INET"),
}


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def balanced() -> Iterator[Door]:
    """A door behind a balancer; who comes from OUTSIDE may send without a login."""
    with open_door(proxies=("127.0.0.0/8",), networks=(OUTSIDE,)) as door:
        yield door


def swaks(door: Door, *options: str, tls: bool = False) -> Transcript:
    port, first = (door.tls_port, ["--tls-on-connect"]) if tls else (door.port, [])
    envelope = ["--from", SENDER, "--h-From", SENDER, "--to", "ann@example.org,bob@example.org"]
    return run_swaks("127.0.0.1", port, *first, *envelope, *options)


def login(mechanism: str = "PLAIN", password: str = SECRET) -> list[str]:
    return ["--auth", mechanism, "--auth-user", USER, "--auth-password", password]


def behind(version: str, source: str) -> list[str]:
    """Options that put a PROXY header in front."""
    sockets = ["--proxy-source", source, "--proxy-source-port", "40000"]
    sockets += ["--proxy-dest", "127.0.0.1", "--proxy-dest-port", "587"]
    return [*PROXY_OPTIONS[version], *sockets]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("tls_first", [False, True])
def test_every_mechanism_logs_in_by_both_ways_into_tls(
    door: Door, mechanism: str, tls_first: bool
) -> None:
    options = login(mechanism) if tls_first else ["--tls", *login(mechanism)]
    done = swaks(door, *options, tls=tls_first)
    assert done.code == 0, done.text
    assert " 235 2.7.0 " in done.text
    assert door.names() == ["ann@example.org", "bob@example.org"]


def test_a_wrong_digest_is_refused(door: Door) -> None:
    done = swaks(door, "--tls", *login("CRAM-MD5", "x" * 24))
    assert done.code != 0
    assert " 535 5.7.8 " in done.text
    assert door.parcels == []


def test_cram_md5_is_not_offered_unless_the_host_says_so() -> None:
    with open_door(cram=False) as door:
        done = swaks(door, "--tls", *login("CRAM-MD5"))
        assert done.code != 0
        assert "CRAM-MD5" not in done.text.split("AUTH", 1)[1].splitlines()[0]
        assert door.parcels == []


def test_a_transaction_is_pipelined(door: Door) -> None:
    done = swaks(door, "--tls", *login(), "--pipeline")
    assert done.code == 0, done.text
    recipients = ["RCPT TO:<ann@example.org>", "RCPT TO:<bob@example.org>"]
    assert done.pipelined(f"MAIL FROM:<{SENDER}>", *recipients, "DATA"), done.text
    assert door.names() == ["ann@example.org", "bob@example.org"]


def test_a_pipelined_transaction_without_a_login_stores_nothing(door: Door) -> None:
    done = swaks(door, "--tls", "--pipeline")
    assert done.code != 0
    assert done.text.count(" 530 5.7.0 ") >= 3  # MAIL and both recipients, each by itself
    assert " 354 " not in done.text
    assert door.parcels == []


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("tls", ["none", "starttls", "first"])
def test_a_proxy_header_says_who_sends(balanced: Door, version: str, tls: str) -> None:
    options = [*behind(version, OUTSIDE), *(["--tls"] if tls == "starttls" else [])]
    done = swaks(balanced, *options, tls=tls == "first")
    assert done.code == 0, done.text
    (parcel,) = balanced.parcels
    assert f"[{OUTSIDE}]".encode() in parcel.raw.split(b"\r\nDate:")[0]
    assert parcel.credential.kind == "smtp-ip"


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_proxied_stranger_must_log_in(balanced: Door, version: str) -> None:
    done = swaks(balanced, "--tls", *behind(version, STRANGER))
    assert done.code != 0
    assert " 530 5.7.0 " in done.text
    assert balanced.parcels == []
    assert swaks(balanced, "--tls", *login(), *behind(version, STRANGER)).code == 0
    assert [each.credential.kind for each in balanced.parcels] == ["smtp"]


@pytest.mark.parametrize("nonsense", ["TCP4 192.0.2.7", "TCP4 192.0.2.7 127.0.0.1 1 x"])
def test_a_broken_proxy_header_opens_nothing(balanced: Door, nonsense: str) -> None:
    done = swaks(balanced, "--proxy-version", "1", "--proxy", nonsense)
    assert done.code != 0
    assert "220 " not in done.text
    assert balanced.parcels == []


def test_a_big_message_arrives_whole(door: Door, tmp_path: Path) -> None:
    line = "0123456789" * 7 + "\n"
    body = tmp_path / "body"
    body.write_text(f".{line}" * 120_000)
    done = swaks(door, "--tls", *login(), "--body", f"@{body}", "--suppress-data")
    assert done.code == 0, done.text[-2000:]
    raw = door.stand.raw()
    assert raw.count(f"\r\n.{line.strip()}".encode()) == 120_000


def test_a_message_over_the_limit_is_refused_and_nothing_stored(door: Door, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_text("0123456789" * 7 + "\n")
    body.write_text(body.read_text() * 380_000)  # 27 MB
    done = swaks(door, "--tls", *login(), "--body", f"@{body}", "--suppress-data")
    assert done.code != 0
    assert " 552 5.3.4 " in done.text
    assert door.parcels == []
