import json
import zlib
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localstack.simulator.contents import read_contents, read_subject_and_id
from localstack.simulator.journal import Journal
from localstack.simulator.mailboxes import Envelope, Mailboxes
from localstack.simulator.pages import inbox, message
from localstack.simulator.scripts import MAX_REPLIES, ScriptError, ScriptPhase, Scripts
from localstack.simulator.tags import links_and_pixels

ENVELOPE = Envelope("a@b.test", "127.0.0.2", "127.0.0.1", "me", "", "")
MAIL = b"Message-ID: <1@x>\r\nSubject: hello\r\n\r\nhi\r\n"


def test_a_message_is_taken_apart_into_what_a_mail_program_shows():
    mail = EmailMessage()
    mail["Subject"] = "Grüße"
    mail.set_content("see http://t.test/x")
    mail.add_alternative('<a href="https://h.test/?a=1&amp;b=2">x</a>', subtype="html")
    mail.add_attachment(b"\0\1", maintype="application", subtype="pdf", filename="räum.pdf")

    found = read_contents(mail.as_bytes())

    assert found.text.strip() == "see http://t.test/x"
    assert found.links == ("https://h.test/?a=1&b=2",)
    assert found.text_links == ("http://t.test/x",)
    assert [(each.filename, each.content_type, each.body) for each in found.attachments] == [
        ("räum.pdf", "application/pdf", b"\0\1")
    ]
    assert read_subject_and_id(mail.as_bytes())[0] == "Grüße"


def test_headers_come_in_order_unfolded_and_as_they_were():
    raw = b"B: 2\r\nA: =?utf-8?q?=C3=BC?=\r\n more\r\nB: 3\r\n\r\n"

    assert read_contents(raw).headers == (("B", "2"), ("A", "=?utf-8?q?=C3=BC?= more"), ("B", "3"))


@pytest.mark.parametrize(
    ("html", "pixels"),
    [
        ('<img src="p" width=1 height="1">', ("p",)),
        ('<img src="p" width=0 height=0px>', ("p",)),
        ('<p style="display: none"><b><img src=p></b></p><img src=q>', ("p",)),
        ('<img style="display:none" src="p?a=1&amp;b=2">', ("p?a=1&b=2",)),
        ('<img src="logo" width=1 height=90><img src=x>', ()),
        ("<p style='display:none'>a</p><br><img src=x>", ()),
        ("<img width=1 height=1>", ()),
        ("<br style='display:none'><img src=x>", ()),
    ],
)
def test_a_pixel_is_an_image_nobody_can_see(html, pixels):
    assert links_and_pixels(html)[1] == pixels


@settings(max_examples=100)
@given(
    st.binary(max_size=300)
    | st.text(alphabet="Content-Type: multipart/mixed;boundary=a\r\n-<>&\"'=?", max_size=300).map(
        lambda text: text.encode()
    )
)
def test_any_octets_can_be_shown_and_listed(raw):
    contents = read_contents(raw)

    json.dumps([contents.headers, contents.text, contents.html, read_subject_and_id(raw)]).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xfc",
        b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n!",
        b"Subject: =?x?q?\xff?=\r\n\r\n",
        b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth)
            for depth in range(200)
        ),
    ],
    ids=["charset", "base64", "encoded-word", "headers", "nesting"],
)
def test_a_malformed_message_is_kept_and_shown_as_far_as_it_goes(tmp_path, raw):
    mailboxes = Mailboxes(tmp_path)
    (kept,) = mailboxes.store(ENVELOPE, ["a@sim.test"], raw)
    found = mailboxes.get(kept)

    assert mailboxes.raw(found) == raw
    assert message(found, read_contents(raw), raw).encode()
    mailboxes.close()


def test_a_page_shows_markup_as_text(tmp_path):
    evil = "<script>alert(1)</script>\"'"
    raw = (
        f"Subject: {evil}\r\nX: {evil}\r\nContent-Type: text/html\r\n\r\n{evil}</iframe>"
    ).encode()
    mailboxes = Mailboxes(tmp_path)
    envelope = Envelope(evil, evil, evil, evil, evil, evil)
    (kept,) = mailboxes.store(envelope, [f"{evil}@sim.test"], raw)
    found = mailboxes.get(kept)

    for page in (inbox([found], to=evil, total=1), message(found, read_contents(raw), raw)):
        assert "<script" not in page
        assert "&lt;script&gt;" in page
        assert page.count("</iframe>") <= 1
    mailboxes.close()


def test_mailboxes_opened_again_hold_the_same_mail_and_give_new_ids(tmp_path):
    first = Mailboxes(tmp_path)
    ids = first.store(ENVELOPE, ["a@sim.test", "b@sim.test"], MAIL)
    first.record_verdict(ids[0], "pass", "d=x")
    before = first.newest(limit=10)
    first.close()

    again = Mailboxes(tmp_path)

    assert again.newest(limit=10) == before
    assert again.get(ids[0]).dkim == "pass"
    assert again.has_received("A@sim.test", "1@x")
    assert again.raw(before[0]) == MAIL
    assert again.store(ENVELOPE, ["c@sim.test"], MAIL)[0] > max(ids)
    again.close()


def test_new_ids_come_after_old_ones_even_when_the_clock_was_set_back(tmp_path):
    first = Mailboxes(tmp_path)
    (kept,) = first.store(ENVELOPE, ["a@sim.test"], MAIL)
    first.close()
    index = tmp_path / "messages.jsonl"
    late = "f" * len(kept)
    index.write_text(index.read_text().replace(f'"id":"{kept}"', f'"id":"{late}"'))

    again = Mailboxes(tmp_path)

    assert int(again.store(ENVELOPE, ["a@sim.test"], MAIL)[0], 16) > int(late, 16)
    again.close()


def test_only_the_newest_messages_are_kept_and_their_files_with_them(tmp_path):
    mailboxes = Mailboxes(tmp_path, keep=3)
    for number in range(30):
        mailboxes.store(ENVELOPE, [f"a{number}@sim.test", f"b{number}@sim.test"], MAIL)

    names = [each.to for each in mailboxes.newest(limit=10)]
    assert names == ["b29@sim.test", "a29@sim.test", "b28@sim.test"]
    assert len(list((tmp_path / "raw").iterdir())) == 2
    assert zlib.crc32(mailboxes.raw(mailboxes.newest(to="b28", limit=1)[0])) == zlib.crc32(MAIL)
    assert len((tmp_path / "messages.jsonl").read_bytes().splitlines()) <= 14
    assert not mailboxes.has_received("a1@sim.test", "1@x")
    mailboxes.close()


def test_paging_forward_misses_nothing(tmp_path):
    mailboxes = Mailboxes(tmp_path)
    ids = [mailboxes.store(ENVELOPE, [f"a{n % 2}@sim.test"], MAIL)[0] for n in range(9)]

    walked: list[str] = []
    while page := mailboxes.following(walked[-1] if walked else "0", limit=4):
        walked += [each.id for each in page]

    assert walked == ids
    assert [each.id for each in mailboxes.following(ids[2], to="a1@sim.test", limit=9)] == [
        ids[3],
        ids[5],
        ids[7],
    ]
    assert (mailboxes.count("a1"), mailboxes.count("a@sim.test"), mailboxes.count()) == (4, 0, 9)
    mailboxes.close()


def test_a_journal_cuts_off_the_line_a_killed_writer_left(tmp_path):
    path = tmp_path / "j"
    path.write_bytes(b'{"a":1}\nrubbish\n{"b":2}\n{"torn":')

    journal = Journal(path)
    journal.append({"c": 3}, {"d": 4})
    journal.close()

    assert path.read_bytes() == b'{"a":1}\nrubbish\n{"b":2}\n{"c":3}\n{"d":4}\n'
    again = Journal(path)
    assert list(again.entries()) == [{"a": 1}, {"b": 2}, {"c": 3}, {"d": 4}]
    again.close()


def test_a_long_torn_line_and_an_empty_file_are_cut_right(tmp_path):
    for content, kept in ((b"{}\n" + b"x" * 200_000, 3), (b"x" * 200_000, 0), (b"", 0)):
        path = tmp_path / "j"
        path.write_bytes(content)
        Journal(path).close()
        assert path.stat().st_size == kept


def test_dictated_replies_are_given_one_by_one_and_then_no_more():
    scripts = Scripts()
    replies = [{"phase": "RCPT", "code": 451, "text": "4.7.1 later"}, {"phase": ".", "code": 0}]

    assert scripts.dictate({"recipient": "X@sim.test", "replies": replies}) == 2

    first, second = scripts.take("x@SIM.test"), scripts.take("x@sim.test")
    assert (first.phase, first.step.reply) == (ScriptPhase.RCPT, "451 4.7.1 later")
    assert (second.step.reply, second.step.close, second.step.store) == ("", True, False)
    assert scripts.take("x@sim.test") is None


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"recipient": "x", "replies": [{"phase": "RCPT", "code": 250}]},
        {"recipient": "x@y", "replies": []},
        {"recipient": "x@y", "replies": [5]},
        {"recipient": "x@y", "replies": [{"phase": "MAIL", "code": 250}]},
        {"recipient": "x@y", "replies": [{"phase": [], "code": 250}]},
        {"recipient": "x@y", "replies": [{"phase": "RCPT", "code": 354}]},
        {"recipient": "x@y", "replies": [{"phase": "RCPT", "code": True}]},
        {"recipient": "x@y", "replies": [{"phase": "RCPT", "code": 250, "text": "a\r\n250 b"}]},
        {"recipient": "x@y", "replies": [{"phase": "RCPT", "code": 250, "store": True}]},
        {"recipient": "x@y", "replies": [{"phase": "RCPT", "code": 250}] * (MAX_REPLIES + 1)},
    ],
)
def test_a_script_that_cannot_be_played_is_refused_whole(document):
    scripts = Scripts()

    with pytest.raises(ScriptError):
        scripts.dictate(document)
    assert scripts.take("x@y") is None
