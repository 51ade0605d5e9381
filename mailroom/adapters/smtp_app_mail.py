"""The AppMail and LetterBox ports: a mail server that takes mail of the platform itself."""

import smtplib
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr

from mailroom.ports.app_mail import AppMailError, Note, RawLetter
from mailroom.settings import AppMailServer, AppMailTls

_TIMEOUT = 8.0  # seconds for each step; a caller of the API waits


class SmtpAppMail:
    """Opens a connection for each note: there are few."""

    def __init__(self, server: AppMailServer) -> None:
        self._server = server

    def send(self, note: Note) -> None:
        """See AppMail.send."""
        message = _composed(note, self._server.sender)
        self._hand_over(lambda connection: connection.send_message(message))

    def post(self, letter: RawLetter) -> None:
        """See LetterBox.post."""
        own = parseaddr(self._server.sender)[1]
        sender = own if letter.sender is None else letter.sender
        self._hand_over(lambda connection: connection.sendmail(sender, [letter.to], letter.message))

    def _hand_over(self, say: Callable[[smtplib.SMTP], object]) -> None:
        try:
            with self._connection() as connection:
                self._prepare(connection)
                say(connection)
        except (smtplib.SMTPException, OSError) as error:
            # What the server answered may quote the message, so only its kind is told.
            raise AppMailError(f"the platform's mail server: {type(error).__name__}") from error

    def _connection(self) -> smtplib.SMTP:
        server = self._server
        if server.tls is AppMailTls.IMPLICIT:
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
        return smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)

    def _prepare(self, connection: smtplib.SMTP) -> None:
        if self._server.tls is AppMailTls.STARTTLS:
            connection.starttls(context=ssl.create_default_context())
        if self._server.user:
            connection.login(self._server.user, self._server.password)


class NoAppMail:
    """The AppMail port of a platform that was given no mail server."""

    def send(self, note: Note) -> None:
        """See AppMail.send."""
        raise AppMailError(f"no mail server is set, so {note.to} gets none (docs/settings.md)")


def _composed(note: Note, sender: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, note.to, note.subject
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2].rstrip(">") or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(note.text)
    return message
