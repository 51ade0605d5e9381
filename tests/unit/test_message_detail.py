"""One message, and what is made of its body."""

import zlib
from dataclasses import replace

import pytest

from mailroom.domain.event import AttemptFacts, Event, EventType
from mailroom.domain.message import BodyRef, ServerId
from mailroom.errors import MessageNotFoundError
from mailroom.fakes.memory import MemoryBodies, MemoryLedger
from mailroom.usecases.message_detail import (
    AttachmentNotFoundError,
    DetailPorts,
    MessageBodyGoneError,
    attachment,
    message_detail,
    message_headers,
    message_parts,
    message_raw,
)
from tests.support.many_messages import NOW, SERVER, made_delivery, made_submission

RAW = b"\r\n".join(
    [
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=",
        b"X-A: 1",
        b"X-a: 2",
        b'Content-Type: multipart/mixed; boundary="b"',
        b"",
        b"--b",
        b"Content-Type: text/plain",
        b"",
        b"hello",
        b"--b",
        b"Content-Type: text/html",
        b"",
        b"<p>hello</p>",
        b"--b",
        b'Content-Disposition: attachment; filename="a.csv"',
        b"Content-Type: text/csv",
        b"",
        b"1,2",
        b"--b--",
        b"",
    ]
)


@pytest.fixture
def ports():
    return DetailPorts(MemoryLedger(), MemoryBodies())


def store(ports, **changes):
    made = made_submission(5, NOW, recipients=2, **changes)
    ports.ledger.reserve([made_delivery(made, i, f"r{i}@x.test") for i in range(2)])
    ports.ledger.commit(made)
    return made


def test_a_message_is_read_with_its_history(ports):
    made = store(ports)
    key = made.key(1)
    event = Event("e", EventType.SENT, key, NOW, attempt=AttemptFacts(1, "Sent"))
    ports.ledger.record(event)
    detail = message_detail(SERVER, key.postal_id, ports)
    assert (detail.key, detail.submission) == (key, made)
    assert detail.delivery.recipient == "r1@x.test"
    assert list(detail.events) == [event]
    assert message_detail(SERVER, key.postal_id, ports, with_events=False).events == ()


def test_what_is_not_there_and_what_is_another_servers_are_the_same(ports):
    made = store(ports)
    other = ServerId("bbbbbbbbbb")
    ports.ledger.reserve([made_delivery(made_submission(7, NOW), 0, "a@x.test")])  # not committed
    ports.ledger.put(made_delivery(made, 2, "left-over@x.test"))  # of nobody's submission
    for server, id_ in [
        (SERVER, made.key(2).postal_id),
        (SERVER, made_submission(7, NOW).key(0).postal_id),
        (SERVER, 0),
        (SERVER, 1 << 60),
        (other, made.key(0).postal_id),
    ]:
        with pytest.raises(MessageNotFoundError):
            message_detail(server, id_, ports)


def test_a_body_is_read_wherever_it_lies(ports):
    inline = made_submission(5, NOW, body=BodyRef(inline=zlib.compress(RAW)))
    ports.bodies.put("k", RAW)
    stored = made_submission(5, NOW, body=BodyRef(key="k"))
    assert message_raw(inline, ports.bodies) == message_raw(stored, ports.bodies) == RAW
    with pytest.raises(MessageBodyGoneError):
        message_raw(made_submission(5, NOW, body=BodyRef(key="gone")), ports.bodies)
    short = replace(inline, raw_until=NOW)
    assert message_raw(short, ports.bodies, NOW - 1) == RAW
    with pytest.raises(MessageBodyGoneError):
        message_raw(short, ports.bodies, NOW)


def test_headers_keep_their_order_and_repeat():
    assert message_headers(RAW)[:3] == [("subject", "Gr\u00fc\u00dfe"), ("x-a", "1"), ("x-a", "2")]


def test_parts_and_attachments():
    parts = message_parts(RAW)
    assert (parts.plain, parts.html) == ("hello", "<p>hello</p>")
    file = attachment(RAW, 1)
    assert (file.name, file.media_type, file.content) == ("a.csv", "text/csv", b"1,2")
    for number in (0, 2, -1):
        with pytest.raises(AttachmentNotFoundError):
            attachment(RAW, number)
