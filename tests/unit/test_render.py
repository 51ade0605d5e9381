"""One recipient's copy: what is added, what is dropped, and that all else stays as it was."""

import re
from dataclasses import replace
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.headers import fields, split
from mailroom.domain.message import BodyRef, DeliveryKey, Server, ServerId, Submission, Tracking
from mailroom.domain.render import Rendered, render
from mailroom.domain.tracking_token import Clicked, Opened, TrackingKey, read_token

PLAIN = Server(ServerId("abcdefghij"), "org1", "Demo", "demo", "tok123")
TRACKED = replace(PLAIN, tracking=Tracking("https://track.example"))
KEY = DeliveryKey(PLAIN.id, 77, 3)
TRACKING_KEY = TrackingKey("k1", b"t" * 32)
SUBMISSION = Submission(
    server=PLAIN.id,
    number=77,
    accepted_at=1_760_000_000.0,
    expires_at=1_760_100_000.0,
    mail_from="a@demo.example",
    from_address="a@demo.example",
    sign_domain="demo.example",
    subject="hi",
    message_id=None,
    tag=None,
    size=10,
    recipients=4,
    source="api",
    bounce=False,
    body=BodyRef(inline=b""),
)
WHOLE = (
    b"From: a@demo.example\r\nTo: b@x.example\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    b"Message-ID: <mine@demo.example>\r\nSubject: =?utf-8?q?x?=\r\n  folded\r\n"
)
HTML = (
    b"From: a@demo.example\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n"
    b'<p><a href="https://shop.example/a?b=1">x</a></p>\r\n'
)


def rendered(
    raw: bytes,
    server: Server = PLAIN,
    key: DeliveryKey = KEY,
    submission: Submission = SUBMISSION,
    merge: dict[str, str] | None = None,
    recipient: str = "",
) -> Rendered:
    return render(
        raw,
        submission=submission,
        key=key,
        server=server,
        token="A" * 16,
        tracking_key=TRACKING_KEY,
        host="rp.demo.example",
        merge=merge,
        recipient=recipient,
    )


def names(raw: bytes) -> list[str]:
    return [field.name for field in fields(split(raw)[0])]


def test_an_author_who_wrote_everything_gets_two_fields_in_front_and_no_change() -> None:
    raw = WHOLE + b"\r\n.dots\r\n\xff 8-bit \r\n\r\n"
    added = b"X-Postal-MsgID: AAAAAAAAAAAAAAAA\r\nFeedback-ID: api:tok123:abcdefghij:mailroom\r\n"
    assert rendered(raw).raw == added + raw


def test_message_id_and_date_are_given_to_who_has_none() -> None:
    raw = b"From: a@demo.example\r\n\r\nx\r\n"
    copy = rendered(raw)
    message = message_from_bytes(copy.raw)
    assert message["Message-ID"] == "<abcdefghij.77.3@rp.demo.example>"
    assert parsedate_to_datetime(message["Date"]).timestamp() == SUBMISSION.accepted_at
    assert copy.raw.endswith(raw)


@pytest.mark.parametrize("field", [b"message-id: <x@y>", b"DATE : today", b"feedback-ID: mine"])
def test_what_is_there_is_not_added_again(field: bytes) -> None:
    copy = rendered(b"From: a@demo.example\r\n" + field + b"\r\n\r\nx\r\n")
    name = field.split(b":")[0].strip().decode().lower()
    assert names(copy.raw).count(name) == 1


def test_a_message_without_a_body_stays_one() -> None:
    assert rendered(WHOLE).raw.endswith(WHOLE)


def test_bcc_is_dropped_wherever_it_stands() -> None:
    raw = b"Bcc: x@y.example\r\n" + WHOLE + b"BCC: c@d.example,\r\n e@f.example\r\nX-Bcc: 1\r\n"
    raw += b"\r\nBcc: this is text\r\n"
    copy = rendered(raw)
    assert copy.raw.endswith(WHOLE + b"X-Bcc: 1\r\n\r\nBcc: this is text\r\n")
    assert "bcc" not in names(copy.raw)


def test_a_message_token_of_the_authors_is_replaced_by_ours() -> None:
    raw = b"X-POSTAL-MSGID: theirs\r\n" + WHOLE + b"x-postal-msgid : again\r\n folded\r\n\r\nx\r\n"
    copy = rendered(raw)
    assert message_from_bytes(copy.raw).get_all("X-Postal-MsgID") == ["A" * 16]
    assert copy.raw.endswith(WHOLE + b"\r\nx\r\n")


def test_resent_sender_comes_first_and_changes_nothing_else() -> None:
    raw = WHOLE + b"\r\nx\r\n"
    copy = render(
        raw,
        submission=SUBMISSION,
        key=KEY,
        server=PLAIN,
        token="A" * 16,
        tracking_key=TRACKING_KEY,
        host="rp.demo.example",
        resent_sender="b+1@rp.demo.example",
    )
    assert copy.raw == b"Resent-Sender: b+1@rp.demo.example\r\n" + rendered(raw).raw


def test_a_second_copy_is_the_same_message() -> None:
    assert rendered(HTML, TRACKED) == rendered(HTML, TRACKED)


def test_links_and_pixel_name_this_delivery() -> None:
    copy = rendered(HTML, TRACKED)
    assert (copy.links, copy.pixels, copy.untracked_long) == (1, 1, 0)
    found = re.findall(rb"https://track\.example/([co])/([\w.-]+)", copy.raw)
    tokens = {kind: read_token(token.decode(), {"k1": TRACKING_KEY}) for kind, token in found}
    assert tokens == {
        b"c": Clicked(KEY.server, 77, 3, "https://shop.example/a?b=1"),
        b"o": Opened(KEY.server, 77, 3),
    }


@pytest.mark.parametrize(
    ("tracking", "links", "pixels"),
    [
        (None, 0, 0),
        (Tracking("https://t.example", clicks=False), 0, 1),
        (Tracking("https://t.example", opens=False), 1, 0),
    ],
)
def test_tracking_can_be_off_by_kind(tracking: Tracking | None, links: int, pixels: int) -> None:
    copy = rendered(HTML, replace(PLAIN, tracking=tracking))
    assert (copy.links, copy.pixels) == (links, pixels)


@pytest.mark.parametrize(
    ("server", "opens", "clicks", "pixels", "links"),
    [
        (TRACKED, None, None, 1, 1),
        (TRACKED, False, None, 0, 1),
        (TRACKED, None, False, 1, 0),
        (replace(TRACKED, tracking=Tracking("https://t.example", False, False)), True, True, 1, 1),
        (PLAIN, True, True, 0, 0),  # there is no host to track with
    ],
)
def test_a_message_may_want_other_tracking_than_its_server(
    server: Server, opens: bool | None, clicks: bool | None, pixels: int, links: int
) -> None:
    wanted = replace(SUBMISSION, track_opens=opens, track_clicks=clicks)
    copy = rendered(HTML, server, submission=wanted)
    assert (copy.pixels, copy.links) == (pixels, links)


def test_what_was_said_to_us_alone_does_not_go_on() -> None:
    said = b"X-Mailroom-Track: none\r\nX-MAILROOM-Tag: a\r\n b\r\nX-Postal-Tag: kept\r\n"
    raw = rendered(said + WHOLE + b"\r\nbody\r\n").raw
    assert b"ailroom-" not in raw.lower().replace(b"feedback", b"")
    assert b"X-Postal-Tag: kept\r\n" in raw


def test_each_recipient_reads_its_own_texts() -> None:
    raw = HTML.replace(b"From:", b"Subject: Hi {{name}}\r\nFrom:").replace(b">x<", b">{{name}}<")
    copy = message_from_bytes(rendered(raw, TRACKED, merge={"name": "A & B"}).raw)
    assert copy["Subject"] == "Hi A & B"
    assert b">A &amp; B<" in copy.get_payload(decode=True)
    assert rendered(raw, merge={}).raw == rendered(raw).raw


def test_a_copy_may_name_its_own_recipient_where_the_message_names_nobody() -> None:
    nobody = WHOLE.replace(b"To: b@x.example\r\n", b"") + b"\r\nbody\r\n"
    assert message_from_bytes(rendered(nobody, recipient="ann@x.example").raw)["To"] == (
        "ann@x.example"
    )
    assert message_from_bytes(rendered(nobody).raw)["To"] is None
    said = rendered(WHOLE + b"\r\nbody\r\n", recipient="ann@x.example").raw
    assert message_from_bytes(said).get_all("To") == ["b@x.example"]
    assert message_from_bytes(rendered(nobody, recipient="jürgen@x.example").raw)["To"] is None


def test_recipients_get_different_copies_of_the_same_text() -> None:
    one = rendered(HTML, TRACKED)
    other = rendered(HTML, TRACKED, replace(KEY, index=4))
    assert one.raw != other.raw
    assert split(one.raw)[1].count(b"<p>") == split(other.raw)[1].count(b"<p>")


@given(st.lists(st.sampled_from([b"\r\n", b"a", b".", b"\xff", b" "]), max_size=20).map(b"".join))
@settings(max_examples=100)
def test_an_untracked_body_is_carried_octet_by_octet(body: bytes) -> None:
    assert rendered(WHOLE + b"\r\n" + body).raw.endswith(WHOLE + b"\r\n" + body)
