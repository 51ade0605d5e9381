"""Delivery reports as other programs read them."""

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailroom.domain.address import parse_address
from mailroom.domain.dsn import MAX_RETURNED, Action, Fate, Original, Reporter, report_mail
from mailroom.domain.reply import SmtpReply

NOW = 1_760_000_000.0
TO = parse_address("bounce@demo.test")
REPORTER = Reporter("mail.example", parse_address("mailer-daemon@mail.example"))
FAILED = Fate(
    Action.FAILED,
    "ann@sim.test",
    SmtpReply(550, "5.1.1 no such user", "RCPT"),
    NOW,
    mx="mx.sim.test",
    requested="rfc822;ann+2Bsales@sim.test",
)
DELAYED = replace(
    FAILED,
    action=Action.DELAYED,
    reply=SmtpReply(451, "4.7.1 greylisted", "RCPT"),
    retry_until=NOW + 86_400,
)
ORIGINAL = Original("abcdefghij.77.0", NOW - 60, "Grüße", "id+2B7")


def read(fate: Fate, original: Original = ORIGINAL) -> tuple[EmailMessage, list[Message]]:
    raw = report_mail(fate, original, TO, REPORTER)
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message, list(message.iter_parts())


def fields(fate: Fate, original: Original = ORIGINAL) -> tuple[Message, Message]:
    _, parts = read(fate, original)
    about_message, about_recipient = parts[1].get_payload()  # type: ignore[misc]
    assert isinstance(about_message, Message)
    assert isinstance(about_recipient, Message)
    return about_message, about_recipient


def test_a_report_is_a_multipart_report_from_the_mail_system() -> None:
    message, parts = read(FAILED)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"] == "bounce@demo.test"
    assert message["From"] == "Mail Delivery System <mailer-daemon@mail.example>"
    assert message["Auto-Submitted"] == "auto-replied"
    kinds = [part.get_content_type() for part in parts]
    assert kinds == ["text/plain", "message/delivery-status"]
    assert "could not be delivered" in str(parts[0].get_payload())


def test_a_failure_says_whom_it_is_about_and_what_was_answered() -> None:
    about_message, about = fields(FAILED)
    assert about_message["Reporting-MTA"] == "dns; mail.example"
    assert about_message["Original-Envelope-Id"] == "id+7"
    assert about["Original-Recipient"] == "rfc822; ann+sales@sim.test"
    assert about["Final-Recipient"] == "rfc822; ann@sim.test"
    assert (about["Action"], about["Status"]) == ("failed", "5.1.1")
    assert about["Remote-MTA"] == "dns; mx.sim.test"
    assert about["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert about["Last-Attempt-Date"] == "Thu, 09 Oct 2025 08:53:20 +0000"
    assert about["Will-Retry-Until"] is None


def test_a_delay_says_until_when_it_is_tried() -> None:
    _, about = fields(DELAYED)
    assert (about["Action"], about["Status"]) == ("delayed", "4.7.1")
    assert about["Will-Retry-Until"] == "Fri, 10 Oct 2025 08:53:20 +0000"
    message, _ = read(DELAYED)
    assert "Delayed" in message["Subject"]


@pytest.mark.parametrize(
    ("fate", "status"),
    [
        (replace(FAILED, expired=True), "4.4.7"),
        (replace(FAILED, reply=SmtpReply(550, "no", "RCPT")), "5.0.0"),
        (replace(FAILED, reply=SmtpReply(452, "4.2.2 full", "RCPT")), "5.2.2"),  # by a rule
        (replace(DELAYED, reply=SmtpReply(0, "connection refused", "connect")), "4.0.0"),
    ],
)
def test_the_status_fits_the_action(fate: Fate, status: str) -> None:
    assert fate.status == status


def test_what_no_server_said_is_not_called_smtp() -> None:
    _, about = fields(replace(DELAYED, reply=SmtpReply(0, "connection refused", "connect"), mx=""))
    assert about["Diagnostic-Code"] == "x-mailroom; connection refused"
    assert about["Remote-MTA"] is None


def test_addresses_beyond_ascii_are_written_in_seven_bits() -> None:
    _, about = fields(replace(FAILED, recipient="jörg@sim.test", requested="utf-8;jörg@sim.test"))
    assert about["Final-Recipient"] == "utf-8; j\\x{F6}rg@sim.test"
    assert about["Original-Recipient"] == "utf-8; j\\x{F6}rg@sim.test"


def test_the_header_of_the_original_comes_back_if_it_is_given() -> None:
    header = b"Subject: Gr\xc3\xbc\xc3\x9fe\r\nFrom: a@demo.test\r\n"
    _, parts = read(FAILED, replace(ORIGINAL, header=header))
    assert parts[2].get_content_type() == "text/rfc822-headers"
    assert "From: a@demo.test" in str(parts[2].get_payload())
    long = b"X: y\r\n" * MAX_RETURNED
    raw = report_mail(FAILED, replace(ORIGINAL, header=long), TO, REPORTER)
    assert len(raw) < MAX_RETURNED + 5_000


def test_the_same_report_has_the_same_octets() -> None:
    assert report_mail(FAILED, ORIGINAL, TO, REPORTER) == report_mail(
        FAILED, ORIGINAL, TO, REPORTER
    )


TEXT = st.text(max_size=1_200)


@given(reply=TEXT, subject=TEXT, envelope=TEXT, requested=TEXT, mx=TEXT, code=st.integers(0, 599))
@settings(max_examples=100)
def test_nothing_that_strangers_write_breaks_out_of_its_field(
    reply: str, subject: str, envelope: str, requested: str, mx: str, code: int
) -> None:
    fate = replace(FAILED, reply=SmtpReply(code, reply, "RCPT"), requested=requested, mx=mx)
    _, parts = read(fate, replace(ORIGINAL, subject=subject, envelope_id=envelope))
    assert len(parts) == 2
    about_message, about = fields(fate, replace(ORIGINAL, envelope_id=envelope))
    assert set(about_message.keys()) <= {"Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"}
    assert about.get_all("Action") == ["failed"]
    assert about.get_all("Final-Recipient") == ["rfc822; ann@sim.test"]
