"""The platform's own mail: what is handed to its server, and what comes of a bad one."""

import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from mailroom.adapters.smtp_app_mail import NoAppMail, SmtpAppMail
from mailroom.ports.app_mail import AppMailError, Note, RawLetter
from mailroom.settings import AppMailServer, AppMailTls, SettingsError, load_settings

NOTE = Note("ann@people.test", "Invitation to Blå Post", "Here it is: mri_secret\n")
SENDER = "Mailroom <no-reply@mail.test>"


class Receiver:
    """Takes mail, or refuses what is for `refused`."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("refused"):
            return "550 no such person, and here is what you said: mri_secret"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append(envelope)
        return "250 taken"


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, int]]:
    handler = Receiver()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def mail(port: int, tls: AppMailTls = AppMailTls.NONE) -> SmtpAppMail:
    return SmtpAppMail(AppMailServer("127.0.0.1", SENDER, port=port, tls=tls))


def test_a_report_has_an_empty_envelope_sender(receiver: tuple[Receiver, int]) -> None:
    handler, port = receiver
    mail(port).post(RawLetter("ann@people.test", b"Subject: x\r\n\r\ny\r\n", sender=""))
    assert handler.taken[0].mail_from in ("", "<>")


def test_a_note_arrives_as_it_was_written(receiver: tuple[Receiver, int]) -> None:
    handler, port = receiver
    mail(port).send(NOTE)
    (envelope,) = handler.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("no-reply@mail.test", [NOTE.to])
    assert isinstance(envelope.content, bytes)
    found = message_from_bytes(envelope.content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert (found["From"], found["Subject"], found["Auto-Submitted"]) == (
        SENDER,
        NOTE.subject,
        "auto-generated",
    )
    assert found.get_content().replace("\r\n", "\n") == NOTE.text


def test_a_composed_message_arrives_octet_by_octet(receiver: tuple[Receiver, int]) -> None:
    handler, port = receiver
    message = b"From: a@mail.test\r\nX: y\r\n\r\n.dot\r\n..two\r\nend\r\n"
    mail(port).post(RawLetter("reports@people.test", message))
    (envelope,) = handler.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == (
        "no-reply@mail.test",
        ["reports@people.test"],
    )
    assert envelope.content == message
    with pytest.raises(AppMailError):
        mail(port).post(RawLetter("refused@people.test", message))


def test_what_nobody_takes_is_an_error_that_quotes_nothing(
    receiver: tuple[Receiver, int],
) -> None:
    _, port = receiver
    with pytest.raises(AppMailError) as caught:
        mail(port).send(Note("refused@people.test", "x", "mri_secret"))
    assert "mri_secret" not in str(caught.value)
    assert "mri_secret" not in repr(NOTE)


def test_without_starttls_nothing_is_said_where_it_is_wanted(
    receiver: tuple[Receiver, int],
) -> None:
    handler, port = receiver
    with pytest.raises(AppMailError):
        mail(port, AppMailTls.STARTTLS).send(NOTE)
    assert handler.taken == []


def test_a_server_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(AppMailError):
        mail(port).send(NOTE)
    with pytest.raises(AppMailError, match="no mail server is set"):
        NoAppMail().send(NOTE)


def test_the_settings_name_the_server() -> None:
    given = {
        "MAILROOM_APP_MAIL_HOST": "smtp.example.org",
        "MAILROOM_APP_MAIL_PORT": "465",
        "MAILROOM_APP_MAIL_USER": "mailroom",
        "MAILROOM_APP_MAIL_PASSWORD": "hidden",
        "MAILROOM_APP_MAIL_TLS": "implicit",
        "MAILROOM_APP_MAIL_FROM": SENDER,
        "MAILROOM_CONSOLE_URL": "https://console.example.org/",
    }
    settings = load_settings(given)
    assert settings.console_url == "https://console.example.org"
    assert settings.app_mail == AppMailServer(
        "smtp.example.org", SENDER, 465, "mailroom", "hidden", AppMailTls.IMPLICIT
    )
    assert "hidden" not in repr(settings.app_mail)
    assert load_settings({}).app_mail is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAILROOM_APP_MAIL_FROM", "nobody"),
        ("MAILROOM_APP_MAIL_FROM", "a@b.test\r\nBcc: c@d.test"),
        ("MAILROOM_APP_MAIL_PORT", "70000"),
        ("MAILROOM_APP_MAIL_TLS", "perhaps"),
        ("MAILROOM_CONSOLE_URL", "console"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    given = {"MAILROOM_APP_MAIL_HOST": "h", "MAILROOM_APP_MAIL_FROM": SENDER, name: value}
    with pytest.raises(SettingsError, match=name):
        load_settings(given)
