"""CHUNKING (RFC 3030) with a client that uses it: Exim as a relay.

Postfix offers it as a server and has no BDAT in its client; Perl's Net::SMTP sends BDAT only to
servers with BINARYMIME.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.egress.submission_stand import SECRET
from tests.peers import exim
from tests.peers.door import SENDER, USER, Door, open_door
from tests.peers.exim import Exim

pytestmark = [pytest.mark.peers, pytest.mark.usefixtures("needs_exim")]

HEAD = f"From: {SENDER}\r\nTo: ann@example.org\r\nSubject: in chunks\r\n\r\n".encode()
# Nothing is stuffed with dots in a chunk, and nothing but its length ends it.
BODY = b".\r\n.leading\r\n..two\r\n" + "Grüße\r\n".encode() + b"x" * 998 + b"\r\n.\r\n\r\n"
MESSAGES = 20


@pytest.fixture
def door() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def needs_exim() -> None:
    problem = exim.why_not()
    if problem:
        pytest.skip(f"{problem} (.ci/run sees to it)")


@pytest.mark.parametrize("tls_first", [False, True])
def test_exim_relays_in_chunks_inside_tls(door: Door, open_folder: Path, tls_first: bool) -> None:
    port, options = (door.tls_port, ["protocol = smtps"]) if tls_first else (door.port, [])
    relay = Exim.made(open_folder / "exim", port, (USER, SECRET), options)
    names = [f"u{number}@example.org" for number in range(MESSAGES)]
    for name in names:
        relay.queue(SENDER, [name], HEAD + BODY)
    relay.deliver()
    assert relay.queued == 0, relay.log
    sent = [line for line in relay.log.splitlines() if " => " in line]
    assert len(sent) == MESSAGES
    for line in sent:
        assert " K " in line  # Exim's mark for CHUNKING used, as L is for PIPELINING
        assert " L " in line
        assert " A=plain " in line
    assert sorted(door.names()) == sorted(names)
    for parcel in door.parcels:
        assert parcel.raw.endswith(b"\r\n\r\n" + BODY)


def test_exim_sends_a_big_message_in_chunks(door: Door, open_folder: Path) -> None:
    relay = Exim.made(open_folder / "exim", door.port, (USER, SECRET))
    body = BODY + b"".join(b".%060d\r\n" % number for number in range(100_000))
    relay.queue(SENDER, ["ann@example.org", "bob@example.org"], HEAD + body)
    relay.deliver()
    assert " K " in relay.log
    (parcel,) = door.parcels
    assert parcel.raw.endswith(b"\r\n\r\n" + body)
    assert sorted(door.names()) == ["ann@example.org", "bob@example.org"]
